"""Files of detections: written, read back, and refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgb2ir_jax.evaluation.proposal_files import read_proposals, write_proposals


@given(
    rows=st.lists(
        st.tuples(
            st.integers(1, 51),
            st.integers(0, 10_000_000),
            st.integers(0, 10_000_000),
            st.floats(0, 1),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "0002-L.txt"
    write_proposals(path, rows)
    assert read_proposals(path) == [
        [label, start, end, pytest.approx(sure, rel=1e-8, abs=1e-300)]
        for label, start, end, sure in rows
    ]
    assert [file.name for file in path.parent.iterdir()] == ["0002-L.txt"]


def test_the_form_is_the_owners(tmp_path):
    write_proposals(tmp_path / "a.txt", [[8, 0, 1234567, 0.5], [10, 3, 9, 0.25]])
    assert (tmp_path / "a.txt").read_text() == "8,0,1234567,0.5\n10,3,9,0.25\n"
    (tmp_path / "b.txt").write_text("8 0 12 .5\n\n 10, 3.0, 9, 1e-3,\n")
    assert read_proposals(tmp_path / "b.txt") == [[8, 0, 12, 0.5], [10, 3, 9, 0.001]]


@pytest.mark.parametrize("line", ["8,0,12", "8,0,12,nan", "8,0,12,0.5,1", "a,b,c,d", "\x00"])
def test_other_rows_are_named(tmp_path, line):
    (tmp_path / "a.txt").write_text(f"8,0,12,0.5\n{line}\n")
    with pytest.raises(ValueError, match="line 2 is"):
        read_proposals(tmp_path / "a.txt")
