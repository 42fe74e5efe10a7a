"""Each thing to warn of, alone in data that is well otherwise."""

import ml_collections
import numpy as np
import pytest

from rgb2ir_jax.reporting.data_sets.statistics import ClipFacts, DataStatistics, VideoFacts
from rgb2ir_jax.reporting.data_sets.warnings import find_warnings

DATA = ml_collections.ConfigDict({"segments": 4, "resize": 24})


def video(prints, **more):
    usual = {
        "frames": len(prints),
        "rate": 30.0,
        "seconds": len(prints) / 30,
        "size": (24, 40),
        "jpeg_bytes": 1000,
        "fingerprints": np.asarray(prints, np.int64),
        "look": "",
    }
    return VideoFacts(**{**usual, **more})


def clean():
    """Six clips of two classes in each split, every frame of its own, other people in the test."""
    clips = []
    for split, people in (("train", 0), ("test", 50)):
        for index in range(12):
            start = 1000 * (people + index)
            clips.append(
                ClipFacts(
                    split,
                    index,
                    f"{split}{index}",
                    index % 2,
                    {"performer": people + index % 3, "camera": index % 3},
                    {
                        modality: video(range(start + more, start + more + 10))
                        for modality, more in (("rgb", 0), ("ir", 500))
                    },
                )
            )
    return clips


def warn(clips, config="default", names=("a", "b"), sizes=None, data=DATA):
    splits = dict.fromkeys(clip.split for clip in clips)
    counted = {split: sum(clip.split == split for clip in clips) for split in splits}
    return find_warnings(DataStatistics(tuple(names), sizes or counted, clips), config, data)


def change(clips, place, **fields):
    clips[place] = clips[place]._replace(**fields)
    return clips


def change_video(clips, place, modality, **fields):
    videos = dict(clips[place].videos)
    videos[modality] = videos[modality]._replace(**fields)
    return change(clips, place, videos=videos)


def only(found):
    assert len(found) == 1, found
    return found[0]


def test_good_data_is_called_good():
    assert only(warn(clean(), "xsub")).level == "good"


def test_a_class_missing_in_a_split():
    clips = [clip for clip in clean() if clip.split == "train" or clip.label == 0]
    notice = only(warn(clips))
    assert (notice.level, notice.examples) == ("problem", ("b",))
    assert "no clip in the split “test”" in notice.text


def test_a_class_missing_everywhere_is_named_once():
    notice = only(warn(clean(), names=("a", "b", "c")))
    assert (notice.level, notice.examples) == ("problem", ("c",))
    assert "any split" in notice.text


def test_very_few_clips_in_a_class():
    clips = [clip for clip in clean() if not (clip.label == 1 and clip.number > 1)]
    notices = warn(clips)
    assert [n.level for n in notices] == ["note", "note"]
    assert [n.examples for n in notices] == [("b: 1 clip",), ("b: 1 clip",)]


@pytest.mark.parametrize(
    ("config", "level"),
    [("all_xsub", "problem"), ("cross_subject", "problem"), ("mine", "note")],
)
def test_a_performer_in_both_splits(config, level):
    clips = change(clean(), 0, fields={"performer": 51, "camera": 0})
    notice = only(warn(clips, config))
    assert notice.level == level
    assert notice.examples == ("performer 51: 1 train, 4 test",)


def test_cameras_in_both_splits_matter_across_views():
    notice = only(warn(clean(), "ten_class_xview"))
    assert notice.level == "problem"
    assert notice.total == 3
    assert "split by camera" in notice.text


def test_a_long_video_cut_into_both_splits():
    clips = [clip._replace(fields={"video": f"v{clip.number // 3}"}) for clip in clean()[::6]]
    assert any("1 video is cut" in n.text or "videos are cut" in n.text for n in warn(clips))


def test_a_sample_in_both_splits():
    notice = only(warn(change(clean(), 13, sample_id="train3")))
    assert (notice.level, notice.examples) == ("problem", ("train3: 1 in train, 1 in test",))


@pytest.mark.parametrize(("modality", "name"), [("rgb", "RGB"), ("ir", "infrared")])
def test_the_same_frames_in_two_clips(modality, name):
    clips = clean()
    same = clips[2].videos[modality].fingerprints
    notice = only(warn(change_video(clips, 15, modality, fingerprints=same)))
    assert notice.level == "problem"
    assert f"1 {name} video" in notice.text
    assert notice.examples == ("train2 (train) = test3 (test)",)


def test_overlapping_cuts_in_two_splits():
    clips = clean()
    theirs = clips[2].videos["ir"].fingerprints
    mixed = np.concatenate([theirs[-4:], np.arange(6) + 10**6])
    notice = only(warn(change_video(clips, 15, "ir", fingerprints=mixed)))
    assert notice.examples == ("test3 (test): 40% of its frames are in train too",)
    lone = np.concatenate([theirs[:1], np.arange(19) + 10**6])
    assert only(warn(change_video(clips, 15, "ir", fingerprints=lone))).level == "good"


def test_pairs_of_different_length():
    clips = change_video(clean(), 4, "ir", frames=9, seconds=0.3)
    assert only(warn(clips)).level == "good", "a tenth is allowed"
    clips = change_video(clean(), 4, "ir", frames=9, seconds=9 / 31)
    assert only(warn(clips)).examples == ("train4 (train): RGB 0.3333 s, infrared 0.2903 s",)


def test_frame_rates_may_differ():
    clips = change_video(clean(), 4, "ir", frames=5, seconds=10 / 30, rate=15.0)
    assert only(warn(clips)).level == "good"


def test_frames_are_compared_where_seconds_are_not_told():
    clips = change_video(clean(), 4, "rgb", frames=20, seconds=None)
    assert only(warn(clips)).examples == ("train4 (train): RGB 20 frames, infrared 10 frames",)


def test_short_clips():
    clips = change_video(clean(), 4, "ir", frames=3)
    notice = only(warn(clips))
    assert (notice.level, notice.examples) == ("note", ("train4 (train): 3",))
    assert "fewer infrared frames than the 4 segments" in notice.text


@pytest.mark.parametrize(("stride", "level"), [(3, "good"), (4, "note")])
def test_dense_clips_need_their_span(stride, level):
    """Four frames span 10 at a stride of 3, as many as the videos have, and 13 at 4."""
    dense = ml_collections.ConfigDict({**DATA, "sampling": "dense", "frame_stride": stride})
    notices = warn(clean(), data=dense)
    assert {notice.level for notice in notices} == {level}
    if level == "note":
        assert "24 clips with fewer RGB frames than the 13 that a clip spans" in notices[0].text


@pytest.mark.parametrize(
    ("look", "text"),
    [
        ("black", "are black"),
        ("flat", "one brightness"),
        ("grey", "without any colour"),
        ("unreadable: why", "not to be decoded"),
    ],
)
def test_odd_pictures(look, text):
    notice = only(warn(change_video(clean(), 4, "rgb", look=look)))
    assert notice.level == "problem"
    assert text in notice.text
    assert notice.text.startswith("RGB pictures of 1 clip")
    assert notice.examples == ("train4 (train)" + (": why" if "why" in look else ""),)


def test_small_pictures():
    notice = only(warn(change_video(clean(), 4, "ir", size=(20, 30))))
    assert notice.level == "note"
    assert "1 clip have a short side of 20 pixels" in notice.text or "20 pixels" in notice.text


def test_a_partial_look_is_told():
    notice = only(warn(clean(), sizes={"train": 100, "test": 100}))
    assert notice.text.startswith("Only 24 of 200 clips were looked at")


def test_examples_are_few_and_counted():
    clips = [clip._replace(sample_id="x") if clip.number else clip for clip in clean()]
    notice = only(warn([c._replace(sample_id=f"x{c.number}") for c in clips]))
    assert len(notice.examples) == 8
    assert notice.total == 12
