"""The benchmark of the loop divides time as it says."""

import pytest

from benchmarks.loop_overhead import divide


def test_what_is_neither_step_nor_wait_is_the_loops():
    # Begin and end of each step in seconds. Waits of 0.1 lie between the steps, as the loop's work does.
    calls = [
        (0.0, 2.0),
        (2.5, 4.5),
        (5.0, 8.0),
        (8.4, 9.0),
        (9.2, 11.2),
        (11.4, 14.0),
        (20.0, 22.0),
    ]
    found = divide(calls, [0.1] * 7, every=2)
    assert found.step == 2.0
    assert found.data == pytest.approx(0.1)
    # Stretches of 5, 4.2 and 10.8 s, less 4, 3.6 and 4.6 s in steps and 0.2 s in waits.
    loop = [(5.0 - 4.2) / 2, (4.2 - 3.8) / 2, (10.8 - 4.8) / 2]
    assert found.loop == pytest.approx(sorted(loop)[1])
    assert found.loop_mean == pytest.approx(sum(loop) / 3)
    assert found.share == pytest.approx(found.loop / 2.0)
