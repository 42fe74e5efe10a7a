"""Runs on other pairs than RGB and infrared, by configuration alone."""

import numpy as np
import pytest

from rgb2ir_jax.training.experiment import Experiment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
]

GREY = {"in_channels": 1, "mean": (0.4,), "std": (0.2,)}
COLOUR = {"in_channels": 3, "mean": (0.4, 0.4, 0.4), "std": (0.2, 0.2, 0.2)}
FIELDS = {"rgb": COLOUR, "ir": GREY, "depth": GREY, "flow": COLOUR}


@pytest.fixture(scope="module")
def own_footage(tmp_path_factory):
    """Twelve clips of two classes in depth and flow, no colour, no infrared."""
    import tensorflow_datasets as tfds

    from data_builders.paired_video.paired_video_dataset_builder import Builder
    from rgb2ir_jax.video.encode import write_video

    footage, built = tmp_path_factory.mktemp("footage"), tmp_path_factory.mktemp("built")
    rng = np.random.default_rng(0)
    lines = ["depth,flow,label,split"]
    for clip in range(12):
        for modality in ("depth", "flow"):
            picture = rng.integers(0, 256, (5, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            moving = (np.roll(picture, 4 * t, axis=1) for t in range(6))
            write_video(footage / f"{clip}_{modality}.mp4", moving, crf=12)
        split = "train" if clip < 8 else "test"
        lines.append(f"{clip}_depth.mp4,{clip}_flow.mp4,class {clip % 2},{split}")
    (footage / "pairs.csv").write_text("\n".join(lines) + "\n")
    builder = Builder(data_dir=built)
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=footage))
    return {"data.name": "paired_video", "data.config": "default", "data.dir": str(built)}


@pytest.mark.parametrize(
    ("teacher", "student", "variant"),
    [
        ("ir", "rgb", "at+cc"),
        ("flow", "depth", "mgcam+dkd"),
    ],
)
def test_every_pair_of_modalities_trains_and_tests(
    tiny_config, data_dir, own_footage, tmp_path, teacher, student, variant
):
    data = own_footage if "flow" in (teacher, student) else {"data.dir": str(data_dir)}
    fields = {"teacher.modality": teacher, "student.modality": student}
    for who, modality in (("teacher", teacher), ("student", student)):
        fields |= {f"{who}.{name}": value for name, value in FIELDS[modality].items()}
        fields |= {f"{who}.epochs": 1, f"{who}.batch_size": 8}
    # Grey frames also fill a network of three channels, as published weights want it.
    if teacher == "ir":
        fields |= {f"teacher.{name}": value for name, value in COLOUR.items()}
    config = tiny_config(variant)
    with config.unlocked():
        config.update_from_flattened_dict({**fields, **data, "evaluation.batch_size": 4})
    result = Experiment(config, tmp_path / "run").run()
    assert [network["modality"] for network in result["networks"]] == [teacher, student]
    channels = {modality: fields["in_channels"] for modality, fields in FIELDS.items()}
    told = [network["frame_channels"] for network in result["networks"]]
    assert told == [channels[teacher], channels[student]]
    assert all(network["enhance"] is None for network in result["networks"])
    assert all(np.isfinite(network["top1"]) for network in result["networks"])
