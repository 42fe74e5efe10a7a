"""The benchmark of the loop divides time as it says."""

import pytest

from benchmarks.loop_overhead import Overhead, loop_stretches


def test_stretches_run_from_the_first_step_after_a_line_to_the_next_such_step():
    # Lines after the second, fourth, sixth and eighth step; what comes before the first is the start.
    calls = [0.0, 5.0, 6.0, 6.1, 8.0, 8.1, 11.0, 11.1, 12.0]
    assert loop_stretches(calls, 2) == pytest.approx([1.0, 1.5, 0.5])


def test_the_share_is_of_medians():
    assert Overhead([1.0, 2.0, 9.0], [2.1, 2.2, 0.1]).share == pytest.approx(0.05)
