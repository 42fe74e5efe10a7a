"""The comparison with PyTorch: its process protocol, its parity check, and its networks and losses."""

import importlib.util
import os
import subprocess
import sys

import pytest

from benchmarks.devices import describe_here
from benchmarks.job import make_job
from benchmarks.rounds import OURS, check_parity, measure
from benchmarks.sides import Factory, Side, SideError, Spent, Timing, measure_in_turns
from benchmarks.step import factories, main, report, roofline
from configs.methods import distillation
from rgb2ir_jax.launch.cpu_memory import HUGE_PAGES, KEPT

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


def test_a_side_answers_and_tells_what_went_wrong():
    side = Side(Factory("fractions", "Fraction", (22, 7)))
    try:
        assert side.call("limit_denominator", 1) == 3
        with pytest.raises(SideError, match="AttributeError"):
            side.call("no_such_method")
        assert side.call("__float__") == 22 / 7
    finally:
        side.close()


def test_a_side_that_is_not_installed():
    side = Side(Factory("no_such_package", "Anything"))
    try:
        with pytest.raises(SideError, match="no_such_package"):
            side.call("describe")
    finally:
        side.close()


def test_a_side_whose_process_ends():
    side = Side(Factory("os", "_exit", (3,)))
    with pytest.raises(SideError, match="exit code 3"):
        side.call("describe")
    side.close()


def test_a_sides_process_starts_with_its_environment():
    """What the C library reads, it reads before Python runs."""
    side = Side(Factory("pathlib", "Path", ("/proc/self/environ",), {"OF_THE_SIDE": "pages"}))
    try:
        assert "\0OF_THE_SIDE=pages\0" in "\0" + side.call("read_text")
    finally:
        side.close()
    assert "OF_THE_SIDE" not in os.environ


def test_peers_have_our_memory_settings_where_asked():
    made = factories(["eager", "eager+pages", "compile"], "")
    settings = {name: factory.environment.get("GLIBC_TUNABLES") for name, factory in made.items()}
    ours = f"{HUGE_PAGES}:{KEPT}"
    assert settings == {OURS: ours, "eager": None, "eager+pages": ours, "compile": None}
    assert made["eager"].arguments == made["eager+pages"].arguments != made["compile"].arguments


def test_sides_are_measured_in_turns():
    calls = []

    class Fake:
        def __init__(self, name, seconds):
            self.name, self.seconds = name, iter(seconds)

        def call(self, method, steps):
            calls.append((self.name, method, steps))
            return Spent(next(self.seconds), 1.0)

    sides = {"a": Fake("a", [3.0, 1.0, 2.0]), "b": Fake("b", [5.0, 5.0, 9.0])}
    found = measure_in_turns(sides, ("time", 4), 3)
    assert "".join(name for name, *_ in calls) == "abbaab"
    assert {call[1:] for call in calls} == {("time", 4)}
    assert found == {
        "a": [Spent(3.0, 1.0), Spent(1.0, 1.0), Spent(2.0, 1.0)],
        "b": [Spent(5.0, 1.0), Spent(5.0, 1.0), Spent(9.0, 1.0)],
    }


def test_a_median_is_of_all_processes_turns():
    """The second process was a slow one, and had fewer turns."""
    timing = Timing.of(
        [[Spent(3.0, 1.0), Spent(1.0, 5.0), Spent(2.0, 3.0)], [Spent(9.0, 7.0), Spent(7.0, 9.0)]]
    )
    assert timing == Timing(median=3.0, least=1.0, processor=5.0, turns=5, rounds=[2.0, 8.0])


STARTED = []


class Pretended:
    """A side whose first process takes a second a step and every later one more."""

    def __init__(self, name, seconds, fails_in_process=0):
        STARTED.append(name)
        self.name, self.fails = name, fails_in_process == STARTED.count(name)
        self.seconds = seconds * STARTED.count(name)

    def call(self, method, *arguments):
        if method == "prepare":
            if self.fails:
                raise SideError("it has no compiler")
            off = 1e-4 * STARTED.count(self.name) * (self.name != OURS)
            found = {"losses": [2.0 + off], "grad_norms": [1.0]}
            return found | {"compile_seconds": 9.0, "program": {}}
        return Spent(self.seconds, 2 * self.seconds) if method == "time" else None

    def close(self):
        STARTED.append("closed")


@pytest.mark.parametrize("apart", [False, True])
def test_every_round_has_new_processes_and_a_side_that_fails_is_left_out(monkeypatch, apart):
    STARTED.clear()
    monkeypatch.setattr("benchmarks.rounds.Side", lambda arguments: Pretended(*arguments))
    job = make_job("student", {}, batch=1, segments=1, size=8, width=8, dtype="float32")
    made = {OURS: (OURS, 1.0), "eager": ("eager", 3.0), "compile": ("compile", 5.0, 2)}
    result = measure(job, made, rounds=3, turns=2, steps=1, apart=apart)
    assert [*([*made, *["closed"] * 3] * 2), OURS, "eager", "closed", "closed"] == STARTED
    assert set(result["seconds"]) == {OURS, "eager"}
    assert result["failed"] == {"compile": "it has no compiler"}
    assert result["seconds"][OURS]["rounds"] == [1.0, 2.0, 3.0]
    assert result["seconds"]["eager"]["median"] == 6.0
    assert result["seconds"]["eager"]["turns"] == 6
    assert result["loss_differences"] == {"eager": pytest.approx(1.5e-4)}


def test_the_table_has_the_ratios_of_single_rounds():
    timing = {"least": 0.1, "processor": 0.4, "turns": 6}
    result = {
        "job": make_job(
            "student", {}, batch=2, segments=8, size=64, width=8, dtype="float32"
        )._asdict(),
        "failed": {},
        "loss_differences": {"eager": 1e-6},
        "seconds": {
            OURS: {"median": 0.2, "rounds": [0.1, 0.2, 0.25], **timing},
            "eager": {"median": 0.3, "rounds": [0.3, 0.3, 0.2], **timing},
        },
    }
    side = {"device": "cpu", "platform": "cpu", "version": "1"}
    about = {"peers": ["eager"], "sides": {OURS: side, "eager": side}, "machine": describe_here()}
    about |= {"width": 8, "segments": 8, "dtype": "float32", "rounds": 3, "turns": 2, "steps": 1}
    text = report([result], about | {"apart": False})
    assert (
        "| student, B=2, 64 | 200.0 | 100.00 | 300.0 | 1.50 | 0.80 to 3.00 | 1.00 | 1e-06 |" in text
    )
    assert "3 rounds of new processes, in each 2 turns of 1 steps" in text


def test_sides_that_do_not_compute_the_same_are_not_timed():
    ours = {"losses": [2.0, 1.0], "grad_norms": [1.0, 1.0]}
    near = {"losses": [2.001, 1.0], "grad_norms": [1.0, 1.004]}
    assert check_parity({OURS: ours, "eager": near}, 1e-3) == {"eager": pytest.approx(5e-4)}
    far = {"losses": [2.0, 1.1], "grad_norms": [1.0, 1.0]}
    with pytest.raises(ValueError, match=r"eager: losses .* no comparison"):
        check_parity({OURS: ours, "eager": far}, 1e-3)
    steep = {"losses": [2.0, 1.0], "grad_norms": [1.0, 1.2]}
    with pytest.raises(ValueError, match="grad_norms"):
        check_parity({OURS: ours, "eager": steep}, 1e-3)
    lost = {"losses": [float("nan"), 1.0], "grad_norms": [1.0, 1.0]}
    with pytest.raises(ValueError, match="losses"):
        check_parity({OURS: ours, "eager": lost}, 1e-3)


def test_roofline_by_hand():
    result = {
        "program": {"flops": 98.9e12, "traffic_bytes": 0.96e12},
        "seconds": {OURS: {"median": 0.5}},
    }
    shares = roofline(result, "NVIDIA H200")
    assert shares["compute_seconds"] == pytest.approx(0.1)
    assert shares["floor_seconds"] == pytest.approx(0.2)
    assert shares["share_of_flops"] == pytest.approx(0.2)
    assert shares["share_of_bandwidth"] == pytest.approx(0.4)
    assert roofline(result, "cpu") is None


def test_our_side_needs_neither_tensorflow_nor_a_data_set():
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'tensorflow_datasets', 'grain', 'clu', 'torch'):\n"
        "    sys.modules[name] = None\n"
        "import benchmarks.step, benchmarks.our_step, benchmarks.partitioned, benchmarks.scaling\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_rounds(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["step", "--rounds=0"])
    with pytest.raises(SystemExit):
        main()
    assert "at least 1" in capsys.readouterr().err


def test_an_unknown_peer(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["step", "--peers=lua"])
    with pytest.raises(SystemExit):
        main()
    assert "lua" in capsys.readouterr().err


@needs_torch
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["teacher", "mgcam+dkd"])
def test_the_peer_computes_what_we_compute(kind, tmp_path):
    job = make_job(
        kind,
        distillation(kind).to_dict(),
        batch=3,
        segments=2,
        size=72,
        width=8,
        dtype="float32",
    )
    factories = {
        OURS: Factory("benchmarks.our_step", "OurStep"),
        "eager": Factory("benchmarks.torch_step", "TorchStep", (False, 1)),
    }
    found = {}
    for name, factory in factories.items():
        side = Side(factory)
        try:
            found[name] = side.call("prepare", job, tmp_path)
        finally:
            side.close()
    assert check_parity(found, 1e-3)["eager"] < 1e-3
