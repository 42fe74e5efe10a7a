"""Where wall time goes, on a clock that the test moves; and how long is left by it."""

import threading
import types

import pytest

from rgb2ir_jax.training.observing import stopwatch as module
from rgb2ir_jax.training.observing.forecast import Forecast, Left
from rgb2ir_jax.training.observing.progress import describe_left
from rgb2ir_jax.training.observing.stopwatch import ACTIVITIES, Stopwatch, describe_shares, shares
from rgb2ir_jax.training.plan import Plan

PLAN = Plan(
    steps_per_epoch=10,
    total_steps=100,
    batch_size=8,
    evaluate_every=30,
    log_every=10,
    save_every=(),
)


class Devices:
    """A step's loss: there when the test says so."""

    def __init__(self):
        self._done = threading.Event()
        self.asked_for = threading.Event()

    def block_until_ready(self):
        self.asked_for.set()
        assert self._done.wait(10)
        return self

    def finish(self, stopwatch):
        self._done.set()
        until = threading.Event()
        for _ in range(1000):
            if stopwatch._devices.idle_since() is not None:
                return
            until.wait(0.01)
        raise AssertionError("the watching thread did not notice")


@pytest.fixture
def clock(monkeypatch):
    """time.monotonic of the stopwatch; `clock.now += 3` lets three seconds pass."""
    clock = types.SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", types.SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def stopwatch(clock):
    with Stopwatch() as stopwatch:
        yield stopwatch


def begin(stopwatch):
    """A first step that the devices have done at once."""
    loss = Devices()
    stopwatch.dispatched(loss)
    loss.finish(stopwatch)


def test_each_second_belongs_to_one_activity(clock, stopwatch):
    clock.now += 7  # Restoring and compiling, with the wait for the first batch in it.
    stopwatch.read_batch(clock.now - 2)
    begin(stopwatch)
    clock.now += 1
    with stopwatch.measure("evaluation"):
        clock.now += 5
    with stopwatch.measure("checkpoint"):
        clock.now += 2
    clock.now += 3
    wanted = {"start": 7, "data": 0, "step": 4, "evaluation": 5, "checkpoint": 2}
    assert stopwatch.seconds() == pytest.approx(wanted)
    assert stopwatch.last_evaluation == 5
    assert stopwatch.seconds() == pytest.approx(wanted), "asking changes nothing"


@pytest.mark.parametrize(
    ("done_after", "waited", "starved"),
    [(None, 5, 0), (0, 5, 5), (2, 5, 3)],
    ids=["still computing", "idle before", "idle on the way"],
)
def test_waiting_counts_only_while_the_devices_have_nothing_to_do(
    clock, stopwatch, done_after, waited, starved
):
    begin(stopwatch)
    loss = Devices()
    stopwatch.dispatched(loss)
    asked = clock.now
    if done_after is not None:
        clock.now += done_after
        loss.finish(stopwatch)
        clock.now += waited - done_after
    else:
        clock.now += waited
    stopwatch.read_batch(asked)
    found = stopwatch.seconds()
    assert found["data"] == pytest.approx(starved)
    assert found["step"] == pytest.approx(waited - starved)
    loss.finish(stopwatch)


def test_the_loop_does_not_wait_for_the_devices(clock, stopwatch):
    losses = [Devices() for _ in range(5)]
    for loss in losses:
        stopwatch.dispatched(loss)
    assert losses[0].asked_for.wait(10)
    assert not losses[1].asked_for.is_set(), "one after the other, in the thread"
    for loss in losses[:-1]:
        loss._done.set()
    losses[-1].finish(stopwatch)


def test_a_step_that_fails_is_left_to_the_loop(clock, stopwatch):
    def fail():
        raise RuntimeError("out of memory")

    stopwatch.dispatched(types.SimpleNamespace(block_until_ready=fail))
    begin(stopwatch)


def test_lines_share_what_passed_since_the_line_before(clock, stopwatch):
    stopwatch.restore({"step": 100.0, "data": 50.0})
    clock.now += 10
    begin(stopwatch)
    clock.now += 10
    first = stopwatch.line()
    assert first == pytest.approx(
        {f"time/{name}": {"start": 0.5, "step": 0.5}.get(name, 0.0) for name in ACTIVITIES}
    )
    with stopwatch.measure("evaluation"):
        clock.now += 3
    clock.now += 1
    second = stopwatch.line()
    assert second["time/evaluation"] == pytest.approx(0.75)
    assert sum(second.values()) == pytest.approx(1.0)
    assert sum(stopwatch.line().values()) == 0, "no time has passed"
    assert stopwatch.seconds()["step"] == pytest.approx(111)


def test_closing_checkpoints_is_timed_and_done_whatever_happens(clock, stopwatch):
    closed = []

    def close():
        clock.now += 4
        closed.append(True)

    with pytest.raises(KeyError), stopwatch.closing(types.SimpleNamespace(close=close)):
        raise KeyError
    assert closed
    assert stopwatch.seconds()["checkpoint"] == 4


def test_the_line_of_a_phase():
    seconds = {"start": 5.0, "data": 0.5, "step": 80.0, "evaluation": 12.5, "checkpoint": 2.0}
    assert shares(seconds)["evaluation"] == 0.125
    assert describe_shares(seconds) == (
        "100.0 s: steps 80.0%, waiting for data 0.5%, evaluation 12.5%, checkpoints 2.0%, "
        "starting and compiling 5.0%"
    )
    assert set(shares(dict.fromkeys(ACTIVITIES, 0.0)).values()) == {0.0}


def run_steps(clock, stopwatch, forecast, first, last, seconds):
    """Steps of so many seconds with a line of the log behind the last one."""
    if first == 1:
        begin(stopwatch)
    clock.now += seconds * (last - first + 1)
    forecast.logged(last)


def test_the_forecast_counts_evaluations_and_leaves_the_compiling_out(clock, stopwatch):
    forecast = Forecast(PLAN, stopwatch, 0)
    assert forecast.left(0) is None
    clock.now += 500  # Compiling.
    run_steps(clock, stopwatch, forecast, 1, 10, 2.0)
    assert forecast.left(10) == Left(pytest.approx(90 * 2.0), at_least=True)
    run_steps(clock, stopwatch, forecast, 11, 30, 2.0)
    with stopwatch.measure("evaluation"):
        clock.now += 25
    forecast.tested(30)
    # At 60, 90 and behind the last step.
    assert forecast.left(30) == Left(pytest.approx(70 * 2.0 + 3 * 25), at_least=False)
    with stopwatch.measure("checkpoint"):
        clock.now += 6
    run_steps(clock, stopwatch, forecast, 31, 40, 2.0)
    assert forecast.left(40).seconds == pytest.approx(60 * (2.0 + 6 / 40) + 3 * 25)


def test_the_forecast_follows_a_change_of_speed(clock, stopwatch):
    forecast = Forecast(PLAN._replace(total_steps=10_000), stopwatch, 0)
    for line in range(40):
        run_steps(clock, stopwatch, forecast, 10 * line + 1, 10 * line + 10, 1.0 + 2 * (line > 19))
    assert forecast.left(10_000 - 1).seconds == pytest.approx(3.0, rel=1e-6)


def test_a_run_that_goes_on_knows_what_evaluations_took(clock, stopwatch):
    stopwatch.restore({"step": 120.0, "evaluation": 80.0})
    forecast = Forecast(PLAN, stopwatch, 60)
    begin(stopwatch)
    clock.now += 5
    forecast.logged(65)
    assert forecast.left(65) == Left(pytest.approx(35 * 1.0 + 2 * 40), at_least=False)


def test_the_last_step_is_tested_once():
    assert [PLAN.evaluations(step) for step in (0, 29, 30, 90, 99, 100)] == [0, 0, 1, 3, 3, 4]
    even = PLAN._replace(total_steps=90)
    assert (even.evaluations(89), even.evaluations(90)) == (2, 3)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (None, "time left not known yet"),
        (Left(99.4, False), "99 s left"),
        (Left(100.0, True), "over 2 min left"),
        (Left(59 * 60.0, False), "59 min left"),
        (Left(7500.0, False), "2 h 05 min left"),
    ],
)
def test_time_left_in_words(left, text):
    assert describe_left(left) == text
