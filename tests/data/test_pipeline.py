"""Batches: what is in them, that they repeat bit for bit, that tests count each clip once."""

import gc
import json
import weakref

import grain
import numpy as np
import orbax.checkpoint as ocp
import pytest

from rgb2ir_jax.data.pipeline import eval_batches, train_iterator
from rgb2ir_jax.data.source import open_split

BOTH = ("rgb", "ir")


def take(iterator, count):
    with iterator:
        return [next(iterator) for _ in range(count)]


def same(first, second):
    return all(
        sorted(a) == sorted(b) and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(first, second, strict=True)
    )


def test_shapes_and_types(data):
    (batch,) = take(train_iterator(data, 0, 5, BOTH), 1)
    assert {key: (value.shape, value.dtype.name) for key, value in batch.items()} == {
        "rgb": ((5, 4, 32, 32, 3), "uint8"),
        "ir": ((5, 4, 32, 32, 1), "uint8"),
        "label": ((5,), "int32"),
        "mask": ((5,), "float32"),
        "index": ((5,), "int32"),
    }
    assert batch["mask"].tolist() == [1] * 5


def test_only_the_wanted_modalities_come_and_are_the_same_alone(data):
    both = take(train_iterator(data, 3, 8, BOTH), 2)
    for modality, other in (("rgb", "ir"), ("ir", "rgb")):
        alone = take(train_iterator(data, 3, 8, (modality,)), 2)
        assert other not in alone[0]
        assert all(
            np.array_equal(a[modality], b[modality]) for a, b in zip(alone, both, strict=True)
        )


def test_both_modalities_show_the_same_moments(data):
    """The pictures' brightness is 20 + 200 u; 40 and 25 frames quantise u."""
    data.rgb_jitter = data.ir_jitter = (0.0, 0.0)
    for batch in take(train_iterator(data, 1, 8, BOTH), 4):
        rgb, ir = (batch[m].astype(float).mean(axis=(2, 3, 4)) for m in BOTH)
        assert np.abs(rgb - ir).max() <= 200 * (0.5 / 40 + 0.5 / 25) + 4
        assert (np.diff(rgb, axis=1) > 0).all()
        segment = np.floor((rgb - 20) / 200 * 4).astype(int)
        assert (np.abs(segment - np.arange(4)) <= 1).all()


def test_testing_reads_the_segment_centres(data):
    for batch in eval_batches(data, "test", 3, BOTH):
        for modality, frames in (("rgb", 40), ("ir", 25)):
            shown = batch[modality].astype(float).mean(axis=(2, 3, 4))
            u = (np.floor((np.arange(4) + 0.5) / 4 * frames) + 0.5) / frames
            np.testing.assert_allclose(shown, np.broadcast_to(20 + 200 * u, shown.shape), atol=3)


def test_an_epoch_visits_every_clip_once_in_an_order_of_its_own(data):
    batches = take(train_iterator(data, 0, 11, ("ir",)), 4)
    first, second = (np.concatenate([b["index"] for b in batches[i : i + 2]]) for i in (0, 2))
    assert sorted(first) == sorted(second) == list(range(22))
    assert first.tolist() != second.tolist()
    labels = [record["label"] for record in open_split(data, "train")]
    assert all(
        labels[i] == label for b in batches for i, label in zip(b["index"], b["label"], strict=True)
    )


def test_the_remainder_of_an_epoch_is_left_out(data):
    iterator = train_iterator(data, 0, 8, ("ir",), num_epochs=3)
    assert iterator.steps_per_epoch == 2
    with iterator:
        batches = list(iterator)
    assert len(batches) == 6
    for epoch in range(3):
        seen = np.concatenate([batches[2 * epoch]["index"], batches[2 * epoch + 1]["index"]])
        assert len(set(seen.tolist())) == 16


def test_another_seed_or_epoch_looks_differently(data):
    first, other = (
        take(train_iterator(data, 0, 22, ("ir",)), 1),
        take(train_iterator(data, 1, 22, ("ir",)), 1),
    )
    assert not same(first, other)


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (0, 3), (1, 0), (2, 0), (2, 2)])
def test_batches_do_not_depend_on_threads_or_workers(data, workers, threads):
    data.rgb_jitter, data.ir_jitter = (0.2, 0.2), (0.1, 0.3)
    expected = take(train_iterator(data, 7, 8, BOTH), 7)
    data.workers, data.threads = workers, threads
    assert same(take(train_iterator(data, 7, 8, BOTH), 7), expected)


@pytest.mark.parametrize(("workers", "threads"), [(0, 0), (0, 2), (2, 0)])
def test_a_saved_position_continues_bit_for_bit(data, workers, threads):
    """Saved and resumed at several steps, and resumed with another number of workers than saved."""
    expected = take(train_iterator(data, 7, 8, BOTH), 8)
    data.workers, data.threads = workers, threads
    with train_iterator(data, 7, 8, BOTH) as iterator:
        states = [json.dumps(iterator.get_state())]
        for _ in range(5):
            next(iterator)
            states.append(json.dumps(iterator.get_state()))
        iterator.set_state(json.loads(states[2]))
        assert same([next(iterator) for _ in range(2)], expected[2:4])
    data.workers, data.threads = 0, 0
    for step in (0, 3, 5):
        fresh = train_iterator(data, 7, 8, BOTH)
        fresh.set_state(json.loads(states[step]))
        assert fresh.step == step
        assert same(take(fresh, 3), expected[step : step + 3])


def test_orbax_saves_and_restores_the_position(data, tmp_path):
    with train_iterator(data, 7, 8, ("ir",)) as iterator:
        next(iterator)
        with ocp.CheckpointManager(tmp_path) as manager:
            manager.save(1, args=ocp.args.Composite(data=grain.checkpoint.CheckpointSave(iterator)))
            manager.wait_until_finished()
        expected = next(iterator)
    with (
        train_iterator(data, 7, 8, ("ir",)) as iterator,
        ocp.CheckpointManager(tmp_path) as manager,
    ):
        manager.restore(
            1, args=ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(iterator))
        )
        assert same([next(iterator)], [expected])


def test_a_position_of_another_run_is_refused(data):
    state = train_iterator(data, 7, 8, ("ir",)).get_state()
    with pytest.raises(ValueError, match="batch_size: 8 was saved, now 4"):
        train_iterator(data, 7, 4, ("ir",)).set_state(state)


def test_processes_share_each_batch(data):
    whole = take(train_iterator(data, 5, 8, BOTH), 3)
    parts = [
        take(train_iterator(data, 5, 8, BOTH, process_index=p, process_count=4), 3)
        for p in range(4)
    ]
    joined = [
        {key: np.concatenate([part[step][key] for part in parts]) for key in whole[0]}
        for step in range(3)
    ]
    assert same(joined, whole)


@pytest.mark.parametrize(
    ("batch_size", "process_count", "workers"),
    [(1, 1, 0), (4, 1, 0), (9, 1, 0), (16, 1, 0), (4, 2, 0), (4, 1, 2)],
)
def test_evaluation_counts_every_clip_exactly_once(data, batch_size, process_count, workers):
    data.workers = workers
    seen = []
    for process in range(process_count):
        batches = eval_batches(
            data, "test", batch_size, ("ir",), process_index=process, process_count=process_count
        )
        assert len(batches) == -(-9 // batch_size)
        for batch in batches:
            assert batch["ir"].shape[0] == batch_size // process_count
            real = batch["mask"] == 1
            assert set(batch["mask"].tolist()) <= {0.0, 1.0}
            assert (batch["index"][~real] == -1).all()
            assert not batch["ir"][~real].any()
            assert (batch["label"][real] == batch["index"][real]).all()
            seen += batch["index"][real].tolist()
    assert sorted(seen) == list(range(9))


def test_evaluation_repeats(data):
    batches = eval_batches(data, "test", 4, BOTH)
    assert same(list(batches), list(batches))
    assert batches.num_clips == 9


def test_a_split_smaller_than_a_batch_is_refused(data):
    with pytest.raises(ValueError, match=r"has 22 clips, fewer than a batch of 23.*at most 22"):
        train_iterator(data, 0, 23, BOTH)


def test_an_indivisible_batch_is_refused(data):
    with pytest.raises(ValueError, match="a batch of 8 clips for 3 processes"):
        train_iterator(data, 0, 8, BOTH, process_count=3)


@pytest.mark.parametrize("modalities", [(), ("depth",), "rgb"])
def test_unknown_modalities_are_refused(data, modalities):
    with pytest.raises(ValueError, match="modalities"):
        train_iterator(data, 0, 8, modalities)


def test_a_bad_config_stops_before_any_work(data):
    data.segments = 0
    with pytest.raises(ValueError, match="segments"):
        eval_batches(data, "test", 4, BOTH)


def test_a_closed_iterator_is_refused(data):
    iterator = train_iterator(data, 0, 8, ("ir",))
    iterator.close()
    with pytest.raises(ValueError, match="closed"):
        next(iterator)


@pytest.mark.parametrize("crops", [3, 10])
def test_dense_views_are_the_crops_of_evenly_spread_frames(data, crops):
    single = next(iter(eval_batches(data, "test", 4, BOTH, segments=7)))
    dense = next(iter(eval_batches(data, "test", 4, BOTH, segments=7, crops=crops)))
    assert single["rgb"].shape == (4, 7, 32, 32, 3)
    assert dense["rgb"].shape == (4, crops, 7, 32, 32, 3)
    assert dense["ir"].shape == (4, crops, 7, 32, 32, 1)
    for modality in BOTH:
        np.testing.assert_array_equal(dense[modality][:, 0], single[modality])
    # Brightness tells the relative moment, 20 + 200 u.
    moments = (single["rgb"].mean(axis=(2, 3, 4)) - 20) / 200
    np.testing.assert_allclose(moments, np.tile((np.arange(7) + 0.5) / 7, (4, 1)), atol=0.03)
    assert (dense["label"] == single["label"]).all()


def test_padding_of_dense_views_is_masked(data):
    *_, last = eval_batches(data, "test", 4, ("ir",), segments=2, crops=3)
    assert last["mask"].tolist() == [1, 0, 0, 0]
    assert not last["ir"][1:].any()


@pytest.mark.parametrize(
    ("views", "message"), [({"crops": 4}, "4 crops"), ({"segments": 0}, "0 segments")]
)
def test_views_that_make_no_sense_are_refused(data, views, message):
    with pytest.raises(ValueError, match=message):
        eval_batches(data, "test", 4, BOTH, **views)


def test_dense_clips_show_frames_in_a_row(data):
    """Brightness is 20 + 200 u: neighbouring frames of 40 are 5 apart, of 25 they are 8."""
    data.sampling, data.segments, data.frame_stride = "dense", 6, 2
    starts = []
    for batch in take(train_iterator(data, 1, 11, BOTH), 4):
        for modality, step in (("rgb", 2 * 5), ("ir", 2 * 8)):
            shown = batch[modality].astype(float).mean(axis=(2, 3, 4))
            np.testing.assert_allclose(np.diff(shown, axis=1), step, atol=3)
        starts.append(batch["rgb"].astype(float).mean(axis=(2, 3, 4))[:, 0])
    assert np.ptp(np.concatenate(starts)) > 60
    (batch, *_) = eval_batches(data, "test", 3, ("rgb",))
    shown = batch["rgb"].astype(float).mean(axis=(2, 3, 4))
    # Thirty places to begin at; the middle one is 15.
    u = (15 + 2 * np.arange(6) + 0.5) / 40
    np.testing.assert_allclose(shown, np.broadcast_to(20 + 200 * u, shown.shape), atol=3)


def test_a_test_of_several_dense_clips_deals_them_out(data):
    data.sampling, data.segments = "dense", 4
    (batch, *_) = eval_batches(data, "test", 2, ("rgb",), segments=8)
    shown = batch["rgb"].astype(float).mean(axis=(2, 3, 4))
    # 37 places: the runs begin at 9 and 27, and take turns.
    frames = np.array([[9, 27], [10, 28], [11, 29], [12, 30]]).ravel()
    expected = 20 + 200 * (frames + 0.5) / 40
    np.testing.assert_allclose(shown, np.broadcast_to(expected, shown.shape), atol=3)
    with pytest.raises(ValueError, match="dense clips have 4"):
        eval_batches(data, "test", 2, ("rgb",), segments=6)


def test_a_closed_iterator_keeps_no_batch_alive(data):
    """Batches can be large; Python's collector may not look for a long time."""
    gc.disable()
    try:
        iterator = train_iterator(data, 0, 4, ("ir",))
        frames = weakref.ref(next(iterator)["ir"])
        iterator.close()
        assert frames() is None
    finally:
        gc.enable()
