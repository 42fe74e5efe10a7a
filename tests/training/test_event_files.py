"""TensorBoard's files: what is written in which order, and what becomes of a thread that fails."""

import gc
import sys
import types

import numpy as np
import pytest
from clu import asynclib

from rgb2ir_jax.training.observing.event_files import EventFiles
from rgb2ir_jax.training.observing.writers import MetricsWriter


class Recorded:
    """In the place of CLU's writer."""

    def __init__(self, folder):
        self.said = SAID
        SAID.append(("opened", folder))

    def __getattr__(self, name):
        def say(*args, **kwargs):
            SAID.append((name, *args, *kwargs.values()))
            if FAILS.get(name):
                raise OSError("no space left")

        return say


SAID: list = []
FAILS: dict[str, bool] = {}


@pytest.fixture(autouse=True)
def _no_tensorflow(monkeypatch):
    """Neither is imported; its importing is as quick as that of nothing."""
    SAID.clear()
    FAILS.clear()
    config = types.SimpleNamespace(set_visible_devices=lambda devices, kind: None)
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(config=config))
    writers = types.ModuleType("clu.metric_writers")
    writers.SummaryWriter = Recorded
    monkeypatch.setitem(sys.modules, "clu.metric_writers", writers)
    monkeypatch.setattr("clu.metric_writers", writers, raising=False)
    monkeypatch.setattr(EventFiles, "can_be_written", staticmethod(lambda: True))


def test_nothing_is_opened_before_the_first_scalars_and_all_comes_in_order(tmp_path):
    files = EventFiles(tmp_path)
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    files.write_hparams({"seed": 3})
    files.write_images(0, {"inputs": picture})
    files.flush()
    assert SAID == []
    files.write_scalars(1, {"loss": 2.0})
    files.write_scalars(2, {"loss": 1.0})
    files.close()
    names = [name for name, *_ in SAID]
    assert names[:5] == [
        "opened",
        "write_hparams",
        "write_images",
        "write_scalars",
        "write_scalars",
    ]
    assert [said[1] for said in SAID if said[0] == "write_scalars"] == [1, 2]
    assert names[-1] == "close"
    assert gc.get_freeze_count() == 0


def test_what_waits_is_written_at_the_end_and_opening_waits(tmp_path):
    files = EventFiles(tmp_path)
    files.write_hparams({"seed": 3})
    files.open()
    assert [name for name, *_ in SAID] == ["opened", "write_hparams"]
    files.close()

    SAID.clear()
    EventFiles(tmp_path).close()
    assert SAID == []
    late = EventFiles(tmp_path)
    late.write_hparams({})
    late.close()
    assert [name for name, *_ in SAID] == ["opened", "write_hparams", "flush", "close"]


def test_an_error_of_the_thread_is_raised_and_the_file_closed(tmp_path):
    files = EventFiles(tmp_path)
    FAILS["write_scalars"] = True
    files.write_scalars(1, {"loss": 2.0})
    with pytest.raises(asynclib.AsyncError, match="no space left"):
        files.close()
    assert SAID[-1] == ("close",)


@pytest.mark.parametrize("error", [ImportError("gone"), AttributeError("broken"), TypeError("odd")])
def test_a_tensorflow_that_cannot_be_imported_costs_the_events_alone(
    tmp_path, monkeypatch, error, caplog
):
    class Broken:
        @property
        def SummaryWriter(self):  # noqa: N802 - CLU's name
            raise AssertionError("must not be reached")

    def find_spec(name, path=None, target=None):
        if name == "tensorflow":
            raise error
        return

    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setitem(sys.modules, "clu.metric_writers", Broken())
    finder = types.SimpleNamespace(find_spec=find_spec)
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    files = EventFiles(tmp_path)
    files.write_scalars(1, {"loss": 2.0})
    files.write_scalars(2, {"loss": 1.0})
    files.close()
    assert f"TensorFlow cannot be imported ({error})" in caplog.text
    assert SAID == []


def write_and_fail(folder, error):
    with MetricsWriter(folder) as writer:
        writer.scalars(1, {"loss": 2.0})
        if error is not None:
            raise error


def test_what_ends_a_phase_is_not_hidden_by_a_failing_thread(tmp_path, caplog):
    FAILS["write_scalars"] = True
    with pytest.raises(KeyError, match="the phase's own"):
        write_and_fail(tmp_path, KeyError("the phase's own"))
    assert "TensorBoard's files are not complete" in caplog.text
    with pytest.raises(asynclib.AsyncError, match="no space left"):
        write_and_fail(tmp_path, None)
    # The JSON lines do not depend on it.
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 2.0}\n'
