"""A finished run with random networks, in the files that training writes: nothing is trained."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.models.pretrained import torchvision_tensors
from rgb2ir_jax.training.checkpoints import Checkpoints, Retention, write_json
from rgb2ir_jax.training.sharding import make_mesh, replicated
from rgb2ir_jax.training.state import Split, TrainState, merge

CLASSES = ("drink water", "eat meal", "throw")


class _Nothing(nnx.Module):
    """The objective of a run without connectors."""


def write_run(
    folder: Path,
    config,
    names=("teacher", "student"),
    *,
    depth=18,
    width=8,
    classes=CLASSES,
    **facts,
) -> dict[str, dict]:
    """Writes the run; returns the tensors of its networks under torchvision's names."""
    config = config.copy_and_resolve_references()
    with config.unlocked():
        for network in (config.teacher, config.student):
            network.depth, network.width = depth, width
    phases, tensors = [], {}
    for seed, name in enumerate(names):
        spec = NetworkSpec.from_config(config[name], len(classes))
        (folder / name).mkdir(parents=True)
        spec.save(folder / name / "network.json")
        graph, variables = draw(spec, seed)
        nothing = Split.of(_Nothing()).variables
        state = TrainState(jnp.asarray(12), variables, nothing, optax.sgd(0.1).init({}))
        checkpoints = Checkpoints(folder / name, Retention(latest=1))
        checkpoints.save(state, {"seconds": 1.0}, None, 12)
        checkpoints.close()
        network = merge(graph, variables)
        tensors[name] = torchvision_tensors(network.network)
        phase = {
            "network": name,
            "variant": "teacher" if name == "teacher" else config.variant,
            "modality": spec.modality,
            "seed": 0,
            "top1": 0.5,
            "top5": 1.0,
            "mean_class_accuracy": 0.4567,
            "clips_tested": 12,
            "config_name": config.name,
            "data_set": f"{config.data.name}/{config.data.config}",
            "limited": bool(config.limit_train_steps),
            "steps": 12,
            "parameters": 1234567,
            "class_names": list(classes),
            **facts,
        }
        write_json(folder / name / "result.json", phase)
        phases.append(phase)
    plain = json.loads(json.dumps(config.to_dict()))
    write_json(folder / "config.json", plain)
    result = {
        "config_name": config.name,
        "methods": {name: section.weight for name, section in config.distill.items()},
        "networks": phases,
        "versions": {"jax": jax.__version__},
        "config": plain,
    }
    write_json(folder / "result.json", result)
    return tensors


def draw(spec: NetworkSpec, seed: int) -> Split:
    """The network with random numbers in all of its arrays, of a size that keeps activations near 1."""
    rng, everywhere = np.random.default_rng(seed), replicated(make_mesh())
    abstract = Split.abstract(spec.shapes(), everywhere)

    def fill(path, leaf):
        kind, shape = str(path[-1].key), leaf.shape
        if len(shape) == 4:
            values = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:3]))
        elif len(shape) == 2:
            values = rng.normal(size=shape) * 0.3
        elif kind in ("var", "scale"):
            values = rng.uniform(0.5, 1.5, shape)
            # The last norm of a residual branch, so that depth does not blow activations up.
            values = values * (0.25 if kind == "scale" and "bn2" in str(path) else 1)
        else:
            values = 0.1 * rng.normal(size=shape)
        return jax.device_put(values.astype(leaf.dtype), everywhere)

    def name(path):
        return [part for part in path if hasattr(part, "key")]

    filled = jax.tree_util.tree_map_with_path(
        lambda path, leaf: fill(name(path), leaf), abstract.variables
    )
    return Split(abstract.graph, filled)
