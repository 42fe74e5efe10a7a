"""Which samples are filmed: balance, splits, names, and larger choices beginning with smaller ones."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgb2ir_jax.synthesis.casting import CLIPS_LIMIT, choose_samples, setups_of
from rgb2ir_jax.synthesis.naming import CLASS_NAMES, TRAIN_PERFORMERS, SampleName, random_stream

numbers = st.integers(20, 600)
seeds = st.integers(0, 1000)


@settings(max_examples=12)
@given(numbers, seeds)
def test_classes_are_balanced_in_the_whole_and_in_each_split(clips: int, seed: int) -> None:
    names = choose_samples(clips, seed)
    for part in (
        names,
        [n for n in names if n.in_cross_subject_training],
        [n for n in names if not n.in_cross_subject_training],
    ):
        counts = Counter(n.action for n in part)
        assert set(counts) | {n.action for n in part} <= set(range(1, 11))
        assert max(counts.values()) - min(counts.get(a, 0) for a in range(1, 11)) <= 1


@settings(max_examples=12)
@given(numbers, seeds)
def test_both_splits_and_all_cameras_occur_and_no_name_twice(clips: int, seed: int) -> None:
    names = choose_samples(clips, seed)
    assert len(set(names)) == clips
    assert {n.in_cross_subject_training for n in names} == {True, False}
    assert {n.camera for n in names} == {1, 2, 3}


@settings(max_examples=12)
@given(numbers, numbers, seeds)
def test_a_larger_choice_begins_with_a_smaller_one(a: int, b: int, seed: int) -> None:
    small, large = sorted((a, b))
    assert choose_samples(large, seed)[:small] == choose_samples(small, seed)


@pytest.mark.parametrize("seed", [0, 7])
def test_seven_in_ten_are_training_performers_all_forty_of_whom_act(seed: int) -> None:
    names = choose_samples(700, seed)
    share = sum(n.in_cross_subject_training for n in names) / len(names)
    assert share == pytest.approx(0.7, abs=0.01)
    counts = Counter(n.performer for n in names)
    assert set(counts) == set(range(1, 41))
    # No performer carries a split alone: each has about a twentieth of it.
    for performer, count in counts.items():
        expected = 490 / 20 if performer in TRAIN_PERFORMERS else 210 / 20
        assert abs(count - expected) <= 0.35 * expected + 2
    cameras = Counter(n.camera for n in names)
    assert max(cameras.values()) - min(cameras.values()) < 0.1 * len(names)


def test_the_whole_world_keeps_the_share_of_training_performers() -> None:
    names = choose_samples(CLIPS_LIMIT, 3)
    assert len(set(names)) == CLIPS_LIMIT
    assert all(n.setup in setups_of(n.performer) for n in names)
    share = sum(n.in_cross_subject_training for n in names) / len(names)
    assert share == pytest.approx(40320 / 56880, abs=0.01)


@pytest.mark.parametrize("clips", [0, -3, CLIPS_LIMIT + 1])
def test_impossible_numbers_are_refused(clips: int) -> None:
    with pytest.raises(ValueError, match="choose between 1 and"):
        choose_samples(clips, 0)


@given(
    st.integers(1, 17), st.integers(1, 3), st.integers(1, 40), st.integers(1, 2), st.integers(1, 10)
)
def test_names_survive_writing_and_reading(s: int, c: int, p: int, r: int, a: int) -> None:
    name = SampleName(s, c, p, r, a)
    assert SampleName.parse(str(name)) == name
    assert str(name) == f"S{s:03d}C{c:03d}P{p:03d}R{r:03d}A{a:03d}"


@pytest.mark.parametrize("text", ["", "S1C1P1R1A1", "S001C001P001R001A011", "S000C001P001R001A001"])
def test_other_texts_are_no_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a sample name|is \d+; the synthetic world"):
        SampleName.parse(text)


def test_ten_classes_and_twenty_training_performers() -> None:
    assert len(CLASS_NAMES) == 10
    assert len(TRAIN_PERFORMERS) == 20


def test_streams_of_different_purposes_differ() -> None:
    room, motion = (random_stream(0, purpose, 1, 2) for purpose in ("room", "motion"))
    assert room.random() != motion.random()
    assert random_stream(0, "room", 1, 2).random() == random_stream(0, "room", 1, 2).random()
