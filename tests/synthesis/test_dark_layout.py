"""Footage in ARID's layout: names, lists, splits, reruns, and what the command refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgb2ir_jax.synthesis.dark.clips import (
    DARK_CLASS_NAMES,
    GROUPS,
    MOST_CLIPS,
    PERFORMERS,
    DarkClip,
    choose_clips,
    split_clips,
)
from rgb2ir_jax.synthesis.dark.dataset import film_dark_dataset
from rgb2ir_jax.synthesis.dark.film import film_clip
from rgb2ir_jax.synthesis.dark.layout import clip_path, list_text
from rgb2ir_jax.synthesis.filming import SynthesisError
from rgb2ir_jax.synthesize import main

# Copied from the owners' lists: labels in the order of 0 to 10.
ARID_CLASSES = ["Drink", "Jump", "Pick", "Pour", "Push", "Run"]
ARID_CLASSES += ["Sit", "Stand", "Turn", "Walk", "Wave"]
KINDS = ("train", "test", "other")
HEIGHT, SEED, CLIPS = 48, 6, 22

seeds = st.integers(0, 1000)
numbers = st.integers(44, 700)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("arid") / "footage"
    options = [f"--out={out}", f"--clips={CLIPS}", f"--height={HEIGHT}", f"--seed={SEED}"]
    assert main(["--layout=arid", *options, "--workers=2", "--quiet"]) == 0
    return out


def _listed(folder: Path, split: int, kind: str) -> list[tuple[int, int, str]]:
    """As the owners' loader reads a list, which splits lines at any space; tabs are looked at elsewhere."""
    lines = (folder / "list_cvt" / f"ARID_split{split}_{kind}.txt").read_text().splitlines()
    return [(int(i), int(label), path) for i, label, path in (line.split() for line in lines)]


def _group(path: str) -> int:
    found = re.fullmatch(r"([A-Z][a-z]+)/\1_(\d+)_(\d+)\.avi", path)
    assert found is not None, path
    return int(found.group(2))


def test_files_are_where_the_owners_have_them(footage: Path) -> None:
    found = {str(path.relative_to(footage)) for path in footage.rglob("*") if path.is_file()}
    wanted = {"synthesis.json"}
    wanted |= {f"list_cvt/ARID_split{s}_{kind}.txt" for s in (1, 2, 3) for kind in KINDS}
    wanted |= {f"clips_v1/{clip.path}" for clip in choose_clips(CLIPS, SEED)}
    assert found == wanted
    manifest = json.loads((footage / "synthesis.json").read_text())
    assert manifest["layout"] == "arid"
    assert (manifest["height"], manifest["seed"]) == (HEIGHT, SEED)
    assert {path.name for path in (footage / "clips_v1").iterdir()} == set(ARID_CLASSES)


def test_clips_are_h264_colour_video_of_four_to_three(
    footage: Path, h264_pictures: Callable[[Path], np.ndarray]
) -> None:
    for path in sorted(footage.rglob("*.avi"))[:6]:
        pictures = h264_pictures(path)
        assert 54 <= len(pictures) <= 108
        assert pictures.shape[1:] == (48, 64, 3)
        assert np.ptp(pictures, axis=-1).max() > 0  # not grey


def test_every_list_is_written_to_the_letter(footage: Path) -> None:
    for split in (1, 2, 3):
        for kind in KINDS:
            text = (footage / "list_cvt" / f"ARID_split{split}_{kind}.txt").read_text()
            rows = _listed(footage, split, kind)
            assert text == "".join(f"{i}\t{label}\t{path}\n" for i, label, path in rows)
            assert [i for i, _, _ in rows] == list(range(len(rows)))
            paths = [path for _, _, path in rows]
            assert paths == sorted(paths)
            for _, label, path in rows:
                assert path.split("/")[0] == ARID_CLASSES[label]
                assert (footage / "clips_v1" / path).is_file()
    assert list_text([DarkClip(0, 10, 1), DarkClip(10, 2, 13)]) == (
        "0\t0\tDrink/Drink_10_1.avi\n1\t10\tWave/Wave_2_13.avi\n"
    )
    assert list(DARK_CLASS_NAMES) == ARID_CLASSES


def test_each_split_deals_out_every_clip_once_and_tests_on_other_performers(footage: Path) -> None:
    tested = []
    for split in (1, 2, 3):
        lists = {kind: _listed(footage, split, kind) for kind in KINDS}
        paths = [path for rows in lists.values() for _, _, path in rows]
        assert len(paths) == len(set(paths)) == CLIPS
        people = {
            kind: {(_group(path) - 1) % PERFORMERS for _, _, path in rows}
            for kind, rows in lists.items()
        }
        assert people["train"]
        assert people["test"]
        assert not people["test"] & (people["train"] | people["other"])
        tested += [path for _, _, path in lists["test"]]
    # The three splits test on every clip once.
    assert sorted(tested) == sorted(clip.path for clip in choose_clips(CLIPS, SEED))


@settings(max_examples=15, deadline=None)
@given(numbers, seeds)
def test_classes_are_balanced_in_all_and_groups_within_classes(clips: int, seed: int) -> None:
    chosen = choose_clips(clips, seed)
    assert len(set(chosen)) == clips
    counts = Counter(clip.label for clip in chosen)
    assert max(counts.values()) - min(counts.values()) <= 1
    laps = Counter((clip.label, clip.group) for clip in chosen)
    for label in range(11):
        of_class = [laps[label, group] for group in range(1, GROUPS + 1)]
        assert max(of_class) - min(of_class) <= 1
    # A clip's number counts the clips of its class and group.
    for clip in chosen:
        assert 1 <= clip.number <= laps[clip.label, clip.group]


@settings(max_examples=15, deadline=None)
@given(numbers, numbers, seeds)
def test_more_clips_begin_with_fewer_and_none_changes_its_list(a: int, b: int, seed: int) -> None:
    small, large = sorted((a, b))
    chosen = choose_clips(large, seed)
    assert chosen[:small] == choose_clips(small, seed)
    for split in (1, 2, 3):
        few, many = split_clips(chosen[:small], split), split_clips(chosen, split)
        assert all(set(few[kind]) <= set(many[kind]) for kind in KINDS)
        assert all(many[kind] for kind in KINDS)


def test_a_split_tests_on_a_third_and_validates_on_a_seventh() -> None:
    chosen = choose_clips(11 * GROUPS * 2, 4)
    for split in (1, 2, 3):
        lists = split_clips(chosen, split)
        assert len(lists["test"]) * 3 == len(chosen)
        assert len(lists["other"]) / len(chosen) == pytest.approx(2 / 15, abs=0.015)
        for kind in KINDS:
            counts = Counter(clip.label for clip in lists[kind])
            assert set(counts) == set(range(11))
            assert max(counts.values()) - min(counts.values()) <= 4
        trained = {clip.group for clip in lists["train"]}
        assert {clip.group for clip in lists["other"]} <= trained
        assert len(trained) == 18
    assert len({clip.performer for clip in chosen}) == PERFORMERS


@pytest.mark.parametrize("clips", [0, -1, MOST_CLIPS + 1])
def test_impossible_numbers_are_refused(clips: int) -> None:
    with pytest.raises(ValueError, match="choose between 1 and"):
        choose_clips(clips, 0)


def test_a_clip_is_the_same_wherever_it_is_made(
    footage: Path, tmp_path: Path, same_film: Callable[[Path, Path], bool]
) -> None:
    clip = choose_clips(CLIPS, SEED)[-1]
    size = film_clip(tmp_path, clip, SEED, HEIGHT)
    assert same_film(clip_path(footage, clip), clip_path(tmp_path, clip))
    assert size == clip_path(tmp_path, clip).stat().st_size
    assert not list(tmp_path.rglob("*.partial*"))


def test_a_second_call_goes_on_and_lists_what_is_there(
    footage: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    same_film: Callable[[Path, Path], bool],
) -> None:
    out = tmp_path / "footage"
    shutil.copytree(footage, out)
    lost = clip_path(out, choose_clips(3, SEED)[1])
    lost.unlink()
    common = ["--layout=arid", f"--out={out}", f"--seed={SEED}", "--workers=1", "--quiet"]
    assert main([*common, f"--clips={CLIPS + 1}", f"--height={HEIGHT}"]) == 0
    said = capsys.readouterr().out
    assert f"{CLIPS - 1} clips were there already" in said
    assert "filmed 2 clips" in said
    assert same_film(lost, clip_path(footage, choose_clips(3, SEED)[1]))
    # Fewer clips than there are: nothing is filmed, and none is struck from the lists.
    report = film_dark_dataset(out, 2, HEIGHT, SEED, 1, progress=False)
    assert (report.filmed, report.reused) == (0, 2)
    assert sum(len(_listed(out, 1, kind)) for kind in KINDS) == CLIPS + 1
    assert main([*common, "--clips=2", "--height=64"]) == 1
    assert "height=48 (asked for 64)" in capsys.readouterr().err
    assert main([f"--out={out}", "--clips=2", f"--height={HEIGHT}", "--quiet"]) == 1
    assert "layout=arid (asked for ntu)" in capsys.readouterr().err


def test_the_usual_height_is_arids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def film(out: str, clips: int, height: int, *rest: object, **more: object) -> None:
        asked.update(clips=clips, height=height)
        raise SynthesisError("enough")

    monkeypatch.setattr("rgb2ir_jax.synthesis.dark.dataset.film_dark_dataset", film)
    assert main(["--layout=arid", f"--out={tmp_path}", "--clips=7"]) == 1
    assert asked == {"clips": 7, "height": 240}


def test_a_contact_sheet_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    monkeypatch.setattr(
        "rgb2ir_jax.synthesis.dark.clips.choose_clips", lambda n, seed: choose_clips(n, seed)[:3]
    )
    sheet = tmp_path / "sheet.png"
    assert main(["--layout=arid", f"--contact-sheet={sheet}", "--height=32"]) == 0
    picture = cv2.imread(str(sheet)).astype(int)
    assert picture.shape[0] == 30 + 3 * 66
    middle = picture[30:, 60 : 60 + 4 * 88], picture[30:, -4 * 88 :]
    assert middle[1].mean() > 2 * middle[0].mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layout=arid", "--clips=3"], "give --out=DIR and --clips=N"),
        (["--layout=arid", "--out=x"], "--out=DIR and --clips=N"),
        (["--layout=arid", "--out=x", "--videos=3"], "--videos belongs to --layout=pku_mmd"),
        (["--layout=arid", "--out=x", "--clips=3", "--height=97"], "97 is odd"),
    ],
)
def test_options_that_do_not_go_together(
    arguments: list[str], message: str, refusal: Callable[[list[str]], str]
) -> None:
    assert message in refusal(arguments)
