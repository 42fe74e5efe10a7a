"""A fingerprint of arrays, so that a checkpoint whose bytes have changed on disk is not trusted."""

import hashlib
import json
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def array_digest(tree: Any) -> str:
    """BLAKE2b over path, dtype, shape and bytes of every array of a pytree, in the tree's order.

    Waits for the arrays. Every process of a run must call it, and gets the same text.
    """
    running = hashlib.blake2b(digest_size=32)
    for path, leaf in jax.tree.leaves_with_path(_on_host(tree)):
        array = np.ascontiguousarray(leaf)
        running.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        raw: Any = array.reshape(-1).view(np.uint8)
        running.update(raw)
    return running.hexdigest()


def json_digest(content: Any) -> str:
    """BLAKE2b over what is stored as JSON."""
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=32).hexdigest()


def _on_host(tree: Any) -> Any:
    def whole(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            return leaf
        if leaf.is_fully_replicated:
            return leaf.addressable_data(0)
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.device_get(jax.tree.map(whole, tree))
