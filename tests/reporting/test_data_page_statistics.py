"""What is read out of records, against counting by hand."""

import numpy as np
import pytest

from rgb2ir_jax.data.source import ClipSource
from rgb2ir_jax.reporting.data_sets.statistics import look_at, read_statistics, size_on_disk, spread
from rgb2ir_jax.video.jpeg import encode_jpeg


@pytest.fixture(scope="module")
def directory(records, tmp_path_factory):
    """Five clips of three classes, of which the third has none."""
    train = [
        records.make("t0", 0, performer="anna", camera=1, rgb_frames=6, ir_frames=4, setup=-1),
        records.make("t1", 0, performer="", camera=2, rgb_fps=0.0, setup=-1),
        records.make("t2", 1, performer="bert", camera=10, size=(32, 48), setup=-1),
    ]
    test = [
        records.make("e0", 1, performer="anna", camera=2, rgb_frames=9, setup=-1),
        records.make("e1", 1, performer="zoe", camera=2, ir_fps=15.0, setup=-1),
    ]
    return records.build(
        tmp_path_factory.mktemp("data"), ["a", "b", "c"], {"train": train, "test": test}
    )


@pytest.fixture(scope="module")
def statistics(directory):
    sources = {split: ClipSource(directory, split) for split in ("train", "test")}
    return read_statistics(["a", "b", "c"], sources)


def test_counts(statistics):
    assert statistics.splits == ("train", "test")
    assert statistics.class_counts.tolist() == [[2, 1, 0], [0, 2, 0]]
    assert [len(clips) for clips in statistics.clips_of_class] == [2, 3, 0]
    assert statistics.field_names == ("performer", "camera"), "a setup of -1 is an unknown one"
    assert statistics.field_counts("performer") == {"anna": (1, 1), "bert": (1, 0), "zoe": (0, 1)}
    assert list(statistics.field_counts("camera")) == [1, 2, 10]
    assert statistics.field_counts("camera")[2] == (1, 2)
    assert statistics.complete


def test_each_clip(statistics):
    clips = {clip.sample_id: clip for clip in statistics.clips}
    assert list(clips) == ["t0", "t1", "t2", "e0", "e1"]
    assert [clip.number for clip in statistics.clips] == [0, 1, 2, 0, 1]
    first = clips["t0"].videos
    assert (first["rgb"].frames, first["ir"].frames) == (6, 4)
    assert (first["rgb"].seconds, first["ir"].seconds) == (
        pytest.approx(0.2),
        pytest.approx(4 / 30),
    )
    assert first["rgb"].size == (24, 40)
    assert clips["t2"].videos["ir"].size == (32, 48)
    assert (clips["t1"].videos["rgb"].rate, clips["t1"].videos["rgb"].seconds) == (None, None)
    assert clips["e1"].videos["ir"].seconds == pytest.approx(0.4)
    assert all(video.look == "" for clip in statistics.clips for video in clip.videos.values())


def test_fingerprints_tell_frames_apart(statistics, directory):
    source = ClipSource(directory, "train")
    for clip in statistics.clips[:3]:
        for modality, video in clip.videos.items():
            jpegs = list(source[clip.number][modality])
            assert video.jpeg_bytes == sum(map(len, jpegs))
            assert len(set(video.fingerprints.tolist())) == len(set(jpegs)) == len(jpegs)


def test_some_clips_stand_for_all(directory):
    calls = []
    sources = {"train": ClipSource(directory, "train")}
    some = read_statistics(["a", "b", "c"], sources, max_clips=2, advance=lambda: calls.append(1))
    assert [clip.sample_id for clip in some.clips] == ["t0", "t2"]
    assert (some.split_sizes, some.complete, len(calls)) == ({"train": 3}, False, 2)


def test_a_label_without_a_class_is_told(directory):
    with pytest.raises(ValueError, match=r"clip 't2' of the split 'train' has the label 1"):
        read_statistics(["a"], {"train": ClipSource(directory, "train")})


def test_spread_keeps_the_ends():
    assert spread(5, 0) == [0, 1, 2, 3, 4]
    assert spread(5, 9) == [0, 1, 2, 3, 4]
    assert spread(101, 3) == [0, 50, 100]
    assert spread(101, 1) == [50]


def picture(kind):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (8, 8, 1)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return {
        "black": np.full((64, 64, 3), 4, np.uint8),
        "noisy black": rng.integers(0, 12, (64, 64, 3)).astype(np.uint8),
        "white": np.full((64, 64, 3), 250, np.uint8),
        "red": np.full((64, 64, 3), (200, 0, 0), np.uint8),
        "grey": scene.repeat(3, 2),
        "colour": np.concatenate([scene, scene[::-1], scene], axis=2),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "look"),
    [
        ("black", "black"),
        ("noisy black", "black"),
        ("white", "flat"),
        ("red", "flat"),
        ("grey", "grey"),
        ("colour", ""),
    ],
)
def test_odd_colour_pictures_are_seen(kind, look):
    assert look_at(encode_jpeg(picture(kind)), colour=True) == ((64, 64), look)


def test_grey_is_right_for_infrared():
    assert look_at(encode_jpeg(picture("grey")[..., :1]), colour=False) == ((64, 64), "")
    assert look_at(encode_jpeg(picture("black")[..., :1]), colour=False)[1] == "black"


def test_a_broken_picture_is_seen():
    size, look = look_at(b"no picture", colour=True)
    assert size is None
    assert look.startswith("unreadable: ")
    whole = encode_jpeg(picture("colour"))
    assert look_at(whole[: len(whole) // 2], colour=True)[1].startswith("unreadable: ")


def test_size_on_disk(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"1")
    assert size_on_disk(tmp_path) == (2, 6)
