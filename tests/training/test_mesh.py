"""What the devices cannot share is refused, and what is split lies where it should."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from configs import ntu
from rgb2ir_jax.training.sharding import place, split_batch
from rgb2ir_jax.training.validation import apply_smoke, validate


def config_of(**fields):
    config = ntu.get_config()
    with config.unlocked():
        config.update_from_flattened_dict(fields)
    return config


@pytest.mark.parametrize(
    ("devices", "fields", "message"),
    [
        (1, {"mesh.model": 2}, r"config\.mesh\.model is 2, which 1 device\(s\) cannot make up"),
        (8, {"mesh.model": 3}, r"8 device\(s\) cannot make up; expected a divisor of 8"),
        (16, {"mesh.model": 16, "student.width": 1, "student.batch_size": 16},
         r"config\.mesh\.model is 16, which cannot share the 8 features of the student's classifier"),
        (8, {"mesh.graphs": "replica"},
         r"of the 8 clips of .* each of 8 devices would have 1 to compare; expected at least 16 clips"),
        (4, {"mesh.graphs": "replica", "student.accumulate": 2}, "would have 1 to compare; expected at least 16"),
        (3, {}, r"config\.teacher\.batch_size is 16, which 3 devices cannot share equally"),
        (4, {"student.accumulate": 4}, r"which 4 micro-batches \(accumulate\) on 4 device\(s\)"),
    ],
)  # fmt: skip
def test_what_the_devices_cannot_share_is_refused(monkeypatch, devices, fields, message):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    with pytest.raises(ValueError, match=message):
        validate(config_of(**fields))


@pytest.mark.parametrize(
    "fields", [{}, {"mesh.model": 4}, {"mesh.graphs": "replica"}, {"student.accumulate": 2}]
)
def test_what_they_can_share_is_taken(monkeypatch, fields):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    validate(apply_smoke(config_of(**fields)))
    validate(apply_smoke(config_of(**fields, smoke=True)))


def test_the_classifier_alone_is_split_over_the_model_axis():
    layers = {"kernel": jnp.zeros((32, 51)), "bias": jnp.zeros(51)}
    tree = {
        "network": {"fc": layers, "layer1": {"kernel": jnp.zeros((1, 1, 4, 4))}},
        "optimizer": {"trace": {"fc": layers}, "count": jnp.zeros(())},
    }
    one, two = AbstractMesh((8,), ("data",)), AbstractMesh((4, 2), ("data", "model"))
    specs = [jax.tree.map(lambda s: s.spec, place(tree, mesh)) for mesh in (one, two)]
    whole, split = PartitionSpec(), PartitionSpec("model", None)
    assert all(spec == whole for spec in jax.tree.leaves(specs[0]))
    of_layers = {"kernel": split, "bias": whole}
    assert specs[1] == {
        "network": {"fc": of_layers, "layer1": {"kernel": whole}},
        "optimizer": {"trace": {"fc": of_layers}, "count": whole},
    }
    # A batch is split over all devices.
    assert split_batch(two).shard_shape((16, 3)) == split_batch(one).shard_shape((16, 3)) == (2, 3)
