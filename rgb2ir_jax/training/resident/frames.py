"""The decoded frames of a split on every device: whether they fit, and how they get there."""

import functools
import logging
import os
import time
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, UInt8

from rgb2ir_jax.data.frame_cache import CachedClips
from rgb2ir_jax.training.sharding import replicated

# Of a device's memory; networks, optimizer and activations need the rest.
_SHARE = 0.6
_PIECE = 2**27
"""Bytes that are copied at once: a copy of all in page-locked memory would take the host's."""

_log = logging.getLogger(__name__)


def stacks(clips: CachedClips, modalities: Sequence[str]) -> dict[str, np.ndarray]:
    """The frames of each modality, of all clips, as they lie in the cache: (frame, height, width, channel).

    Raises:
        ValueError: those of a modality differ in size.
    """
    try:
        return {modality: clips.file(modality).together() for modality in modalities}
    except ValueError as error:
        raise ValueError(
            f"config.data.on_device is True, but {error}. Build the data set from videos of one size, or do "
            "without: --config.data.on_device=False"
        ) from error


def check_fits(clips: CachedClips, modalities: Sequence[str]) -> None:
    """Raises ValueError unless the frames of these modalities can lie on every device of this process."""
    found = stacks(clips, modalities)
    needed = sum(stack.nbytes for stack in found.values())
    memory, where = _memory()
    if needed > _SHARE * memory:
        listed = ", ".join(f"{name} {stack.nbytes / 1e9:.4g}" for name, stack in found.items())
        raise ValueError(
            f"config.data.on_device is True, but the decoded frames of training take {needed / 1e9:.4g} GB "
            f"on each device ({listed}), more than {_SHARE:.0%} of {where}, {memory / 1e9:.4g} GB. Build the "
            "data set with a frame_stride of 2 or more, train on fewer clips "
            "(config.data.train_split), or leave the frames on the host: --config.data.on_device=False"
        )


def _memory() -> tuple[int, str]:
    """What each device has, in bytes, and in words."""
    devices = jax.local_devices()
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    if all(limits):
        return min(limits), "the device's memory"
    # Devices that do not tell, as the CPU, are taken to share the host's.
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total // len(devices), f"the host's memory for each of {len(devices)} device(s)"


def put_frames(
    found: Mapping[str, np.ndarray], behind: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, Array]:
    """Copies stacks of pictures, each with a few more behind it, to every device of the mesh."""
    start = time.monotonic()
    placed = {name: _put(stack, behind[name], mesh) for name, stack in found.items()}
    jax.block_until_ready(placed)
    _log.info(
        "Frames on the device: %.4g GB on each of %d, copied in %.1f s (%s GB)",
        sum(stack.nbytes for stack in found.values()) / 1e9,
        mesh.devices.size,
        time.monotonic() - start,
        ", ".join(f"{name} {stack.nbytes / 1e9:.4g}" for name, stack in found.items()),
    )
    return placed


def _put(
    stack: UInt8[np.ndarray, "frame height width channel"],
    behind: UInt8[np.ndarray, "more height width channel"],
    mesh: Mesh,
) -> UInt8[Array, "frame+more height width channel"]:
    everywhere = replicated(mesh)
    # All pieces have one size, so that one program takes them; the last one may overlap the one before.
    count = min(len(stack), max(1, _PIECE // stack[0].nbytes))
    shape = (len(stack) + len(behind), *stack.shape[1:])
    empty = jax.jit(lambda: jnp.zeros(shape, stack.dtype), out_shardings=everywhere)
    insert = jax.jit(
        functools.partial(jax.lax.dynamic_update_slice_in_dim, axis=0),
        donate_argnums=0,
        out_shardings=everywhere,
    )
    starts = [min(first, len(stack) - count) for first in range(0, len(stack), count)]
    parts = [(first, stack[first : first + count]) for first in starts]
    whole = empty()
    for first, part in [*parts, (len(stack), behind)]:
        piece = jax.make_array_from_callback(part.shape, everywhere, part.__getitem__)
        whole = insert(whole, piece, np.int32(first))
    return whole
