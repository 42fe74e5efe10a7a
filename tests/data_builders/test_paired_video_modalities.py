"""Footage of one's own that is not the pair: one modality alone, depth, optical flow."""

import json
import pathlib

import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds
from ml_collections import FrozenConfigDict

from configs import paired_video
from data_builders.paired_video.listing import read_listing
from data_builders.paired_video.paired_video_dataset_builder import Builder
from data_builders.recording.report import FootageError
from rgb2ir_jax import inspect_data
from rgb2ir_jax.data.batches import BatchLoader, Selection
from rgb2ir_jax.data.frame_cache import prepare
from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.source import ClipSource, describe, open_split
from rgb2ir_jax.video.encode import write_video

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
    # ml_collections' way to read a config file.
    pytest.mark.filterwarnings(r"ignore:the load_module\(\) method:DeprecationWarning"),
]

ROWS = [
    ("a", "wave", "train"),
    ("b", "clap", "train"),
    ("c", "wave", "test"),
    ("d", "clap", "test"),
]


def write_footage(folder, modalities):
    """Four clips; a modality's brightness tells it: 60, 90, 120, 150 for those given."""
    lines = [",".join([*modalities, "label", "split"])]
    for name, label, split in ROWS:
        for place, modality in enumerate(modalities):
            colour = np.array([30, 0, -30]) if modality in ("rgb", "flow") else np.zeros(3)
            flat = np.full((32, 40, 3), 60 + 30 * place + colour, np.uint8)
            write_video(folder / f"{name}_{modality}.mp4", (flat for _ in range(8 + place)), crf=5)
        lines.append(",".join([*(f"{name}_{m}.mp4" for m in modalities), label, split]))
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")


def build(folder, modalities):
    footage, built = folder / "footage", folder / "built"
    footage.mkdir()
    write_footage(footage, modalities)
    builder = Builder(data_dir=built)
    builder.workers = 0
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=footage))
    config = paired_video.get_config()
    with config.unlocked():
        config.data.dir = str(built)
        config.data.update(segments=3, resize=32, crop=24, threads=0, prefetch=1)
    return config.data


@pytest.fixture(scope="module")
def colour_alone(tmp_path_factory):
    return build(tmp_path_factory.mktemp("rgb"), ("rgb",))


@pytest.fixture(scope="module")
def depth_and_flow(tmp_path_factory):
    return build(tmp_path_factory.mktemp("depth"), ("depth", "flow"))


def test_records_may_hold_one_modality(colour_alone):
    assert describe(colour_alone).modalities == {"rgb": 3}
    record = open_split(colour_alone, "train")[0]
    assert set(record) == {
        "sample_id", "rgb", "rgb_frames", "rgb_fps", "label", "performer", "camera"
    }  # fmt: skip
    assert (record["sample_id"], record["rgb_frames"]) == (b"pairs.csv:2:a_rgb.mp4", 8)
    report = json.loads((describe(colour_alone).directory / "build_report.json").read_text())
    assert (report["written"], report["differing_lengths"]) == ({"train": 2, "test": 2}, 0)
    with train_iterator(colour_alone, 0, 2, ("rgb",), num_epochs=1) as batches:
        (batch,) = batches
    assert set(batch) == {"rgb", "label", "mask", "index"}


def test_depth_and_flow_are_stored_in_their_channels(depth_and_flow):
    assert describe(depth_and_flow).modalities == {"depth": 1, "flow": 3}
    (batch,) = eval_batches(depth_and_flow, "test", 2, ("depth", "flow"))
    assert batch["depth"].shape == (2, 3, 24, 24, 1)
    assert batch["flow"].shape == (2, 3, 24, 24, 3)
    assert batch["depth"].mean() == pytest.approx(60, abs=2)
    np.testing.assert_allclose(batch["flow"].mean((0, 1, 2, 3)), [120, 90, 60], atol=6)
    assert open_split(depth_and_flow, "test")[0]["sample_id"] == b"pairs.csv:4"
    # Jitter is light, which neither of them has.
    lit = depth_and_flow.copy_and_resolve_references()
    with lit.unlocked():
        lit.rgb_jitter = lit.ir_jitter = (0.5, 0.5)
        lit.flip_probability = 0.0
    with train_iterator(lit, 0, 2, ("depth",), num_epochs=1) as batches:
        assert next(batches)["depth"].mean() == pytest.approx(60, abs=2)


def test_decoded_frames_are_cached_in_their_channels(depth_and_flow, tmp_path):
    cached = depth_and_flow.copy_and_resolve_references()
    with cached.unlocked():
        cached.cache = str(tmp_path)
    clips = prepare(cached, {"test": ("flow", "depth")})["test"]
    assert clips.modalities == {"flow": 3, "depth": 1}
    for one, other in zip(
        eval_batches(cached, "test", 2, ("depth", "flow")),
        eval_batches(depth_and_flow, "test", 2, ("depth", "flow")),
        strict=True,
    ):
        assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("cache", [False, True])
def test_a_modality_that_is_not_there_is_named_with_those_that_are(colour_alone, tmp_path, cache):
    data = colour_alone.copy_and_resolve_references()
    with data.unlocked():
        data.cache = str(tmp_path) if cache else ""
    message = "'ir' were asked for, and the records of paired_video/default hold rgb alone"
    with pytest.raises(ValueError, match=message):
        eval_batches(data, "test", 2, ("rgb", "ir"))


def test_a_record_without_frames_is_named_with_what_it_holds(colour_alone):
    class Damaged(ClipSource):
        def __getitem__(self, index):
            return {**super().__getitem__(index), "ir": []}

    source = Damaged(describe(colour_alone).directory, "test")
    source.modalities = {"rgb": 3, "ir": 1}
    loader = BatchLoader(source, FrozenConfigDict(colour_alone), ("ir",), None)
    with pytest.raises(
        ValueError, match=r"pairs.csv:4:c_rgb.mp4\) holds no ir frame; it holds rgb"
    ):
        loader(Selection(0, (0,)))


def test_a_network_and_its_teacher_of_one_modality_decode_it_once(colour_alone, monkeypatch):
    from rgb2ir_jax.data import batches as module

    decoded = []
    decode = module.decode_jpeg
    monkeypatch.setattr(module, "decode_jpeg", lambda *given: decoded.append(1) or decode(*given))
    next(iter(eval_batches(colour_alone, "test", 2, ("rgb", "rgb"))))
    assert len(decoded) == 2 * 3


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("label,split", "lacks the columns rgb, ir. .*any one or more will do"),
        ("depth,label", "lacks the column split"),
        ("rgb,thermal,label,split", "a column 'thermal'.*call it 'ir'"),
        ("colour,ir,label,split", "a column 'colour'.*call it 'rgb'"),
        ("flow,flow,label,split", "the column flow twice"),
    ],
)
def test_headers_that_mean_something_else_are_refused(tmp_path, header, message):
    (tmp_path / "pairs.csv").write_text(f"{header}\na,b,c,train\n")
    with pytest.raises(FootageError, match=f"(?s){message}"):
        read_listing(tmp_path)


def test_rows_of_other_modalities(tmp_path):
    (tmp_path / "pairs.csv").write_text(
        "ir,flow,label,split\ni\\a.mp4,f\\a.mp4,x,train\n,b.mp4,y,test\n"
    )
    listing = read_listing(tmp_path)
    assert listing.modalities == ("ir", "flow")
    (row,) = listing.rows
    assert (row.rgb, row.ir, row.clip_name) == ("", "i/a.mp4", "pairs.csv:2:i/a.mp4")
    assert listing.further == {2: {"flow": "f/a.mp4"}}
    assert listing.problems == {"pairs.csv:3": "has no ir"}


@pytest.mark.parametrize("name", ["colour_alone", "depth_and_flow"])
def test_the_page_of_a_data_set_shows_what_is_there(name, request, tmp_path, capsys):
    data = request.getfixturevalue(name)
    out = tmp_path / "page.html"
    arguments = [
        f"--data_dir={data.dir}", "--dataset=paired_video/default", f"--out={out}", "--quiet",
        "--config.data.segments=3", "--config.data.resize=32", "--config.data.crop=24",
        "--enhance=gamma", "--gamma=2",
    ]  # fmt: skip
    assert inspect_data.main(arguments) == 0, capsys.readouterr().err
    page = out.read_text()
    shown = {"colour_alone": ("RGB",), "depth_and_flow": ("Depth", "Flow")}[name]
    for modality in shown:
        assert f"<th>{modality}</th>" in page or f">{modality}<" in page
        assert (
            page.count(
                f"{modality if modality == 'RGB' else modality.lower()}, enhanced by gamma 2:"
            )
            == 2
        )
    assert ("Infrared" in page) is False
    assert "minus" not in page or name == "depth_and_flow"
    assert pathlib.Path(data.dir).is_dir()


def test_flags_of_the_page_that_contradict_are_refused(colour_alone, tmp_path, capsys):
    for given, message in (
        (["--gamma=2"], "--gamma belongs to --enhance=gamma"),
        (["--enhance=zero_dce"], "no file of its weights is named"),
        (["--enhance=zero_dce", "--enhance_weights=no.pth"], "there is no file no.pth"),
        (["--enhance=gamma", "--gamma=0"], "gamma is 0.0"),
    ):
        with pytest.raises(SystemExit) as stopped:
            inspect_data.main(
                [f"--data_dir={colour_alone.dir}", f"--out={tmp_path / 'x.html'}", *given]
            )
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err
