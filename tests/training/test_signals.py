"""A signal is a request; a second one is an order."""

import os
import signal
import threading

import pytest

from rgb2ir_jax.training.signals import Interrupted, stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_ends_at_once(number, capfd):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert stop.signal_name == number.name
        assert f"{number.name}: ending after the next step" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_in_another_thread_signals_stay_as_they_are():
    found = []

    def run():
        with stop_on_signals() as stop:
            found.append((stop.requested, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(False, before)]


def test_who_handles_an_interrupt_handles_a_saved_one():
    with pytest.raises(KeyboardInterrupt):
        raise Interrupted("saved")
