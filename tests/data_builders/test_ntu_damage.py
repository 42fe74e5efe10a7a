"""Two hundred pairs, twenty of them damaged in ten ways."""

import json
import pathlib
import re
import shutil
from fractions import Fraction

import av
import jax  # noqa: F401 - before TensorFlow, which the building side of TFDS imports
import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders.ntu_rgbd_ir.ntu_rgbd_ir_dataset_builder import Builder
from data_builders.recording.report import TooManyBadClipsError
from rgb2ir_jax.video.encode import write_video
from rgb2ir_jax.video.jpeg import encode_jpeg

pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


def empty(path):
    path.write_bytes(b"")


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: (content.index(b"movi") + content.rindex(b"idx1")) // 2])


def no_video(path):
    path.write_text("This was a web page once.\n" * 50)


def without_frames(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuvj420p"
        container.start_encoding()


def unpaired(path):
    path.unlink()


def misnamed(path):
    path.rename(path.with_name(f"{path.stem} (1).avi"))


def too_small(path):
    write_video(path, [np.zeros((8, 8, 3), np.uint8)] * 3)


def too_large(path):
    motion_jpeg(path, [(4098, 4098)])


def of_changing_size(path):
    motion_jpeg(path, [(36, 64), (36, 64), (40, 64)])


def sound_alone(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))


def motion_jpeg(path, sizes):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.height, stream.width = sizes[0]
        stream.pix_fmt = "yuvj420p"
        for t, size in enumerate(sizes):
            packet = av.Packet(encode_jpeg(np.full((*size, 3), 90, np.uint8)))
            packet.stream, packet.pts, packet.dts = stream, t, t
            packet.time_base = Fraction(1, 10)
            container.mux(packet)


DAMAGES = {
    empty: "cannot be opened as a video",
    truncated: r"breaks off after \d",
    no_video: "cannot be opened as a video",
    without_frames: "holds no frame|cannot be opened|no video stream",
    unpaired: r"only S\w+_(rgb|ir)\.avi is there, S\w+_(rgb|ir)\.avi is missing",
    misnamed: r"misnamed\? .* \(1\)\.avi",
    too_small: "8x8; the shorter side must be at least 16",
    too_large: "4098x4098; at most 16777216 pixels",
    of_changing_size: "change from 64x36 to 64x40 at frame 2",
    sound_alone: "holds no video stream",
}


@pytest.fixture
def damaged_footage(tmp_path, footage):
    """Copies of one pair under two hundred names; two of each damage, one a modality."""
    folder = tmp_path / "in"
    footage.write_sample(folder, "S001C001P001R001A001", 6, 5)
    original = {m: next(folder.rglob(f"*_{m}.avi")) for m in ("rgb", "ir")}
    samples = [
        f"S{1 + p % 17:03}C{c:03}P{p:03}R{r:03}A{a:03}"
        for p in (1, 2, 3, 4) for c in (1, 2, 3) for r in (1, 2) for a in range(1, 11)
    ][:200]  # fmt: skip
    for sample in samples:
        for modality, path in original.items():
            shutil.copy(path, path.with_name(f"{sample}_{modality}.avi"))
    for path in original.values():
        if path.name[:20] not in samples:
            path.unlink()
    rng = np.random.default_rng(3)
    victims = [str(sample) for sample in rng.choice(samples, 20, replace=False)]
    reasons = {}
    for i, victim in enumerate(victims):
        damage = list(DAMAGES)[i // 2]
        modality = ("rgb", "ir")[i % 2]
        damage(folder / f"nturgb+d_{modality}" / f"{victim}_{modality}.avi")
        reasons[victim] = DAMAGES[damage]
    return folder, samples, reasons


def test_twenty_of_two_hundred_are_skipped_each_with_its_reason(
    damaged_footage, tmp_path, monkeypatch, capsys
):
    folder, samples, reasons = damaged_footage
    with pytest.raises(TooManyBadClipsError, match=r"of 200 clips cannot be used; at most 2"):
        build(folder, tmp_path / "strict")
    monkeypatch.setenv("RGB2IR_BUILD_MAX_BAD_FRACTION", "0.1")
    built = build(folder, tmp_path / "out")
    assert built.info.splits.total_num_examples == 180
    written = [
        record["sample_id"].decode()
        for split in ("train", "test")
        for record in built.as_data_source(split=split)
    ]
    assert sorted(written) == sorted(set(samples) - set(reasons))
    report = json.loads((pathlib.Path(built.data_dir) / "build_report.json").read_text())
    assert report["samples"] == 200
    assert sorted(report["skipped"]) == sorted(reasons)
    for name, reason in reasons.items():
        assert re.search(reason, report["skipped"][name]), (reason, report["skipped"][name])
    printed = capsys.readouterr().out
    for name, reason in report["skipped"].items():
        assert f"skipped {name}: {reason}" in printed


def build(manual_dir, data_dir):
    builder = Builder(data_dir=data_dir)
    builder.workers = 0
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    return tfds.builder_from_directory(builder.data_dir)
