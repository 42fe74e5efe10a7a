"""looks.npz comes back as it was written; whatever else a file holds is one sentence."""

import hashlib
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rgb2ir_jax.reporting.runs.files import find_runs, read_runs
from rgb2ir_jax.reporting.runs.look_file import Looks, joined, read_looks, write_looks
from tests.reporting.made_looks import drawn_logits, make_looks

LABELS = [0, 1, 2, 0, 1, 2]


@pytest.fixture(scope="module")
def looks():
    return make_looks(drawn_logits(LABELS, 3, 0), LABELS, mistakes=(5, 3))


@pytest.fixture
def file(looks, tmp_path):
    write_looks(tmp_path / "looks.npz", looks)
    return tmp_path / "looks.npz"


def replaced(file, name, content):
    """The file with another member."""
    with zipfile.ZipFile(file) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in (members | {f"{name}.npy": content}).items():
            archive.writestr(member, data)
    return file


def array_file(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_what_is_written_comes_back(looks, file):
    found = read_looks(file)
    assert found.facts == looks.facts
    assert found.frames == looks.frames
    for name in set(Looks._fields) - {"facts", "frames"}:
        kept, read = getattr(looks, name), getattr(found, name)
        assert kept.dtype == read.dtype
        np.testing.assert_array_equal(kept, read)
    assert list(file.parent.iterdir()) == [file]
    assert found.row(5) == 3
    np.testing.assert_allclose(found.probabilities(4).sum(), 1)


class _Harmful:
    def __reduce__(self):
        return pytest.fail, ("something was unpickled",)


def _promise(shape):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": shape}
    )
    return header.getvalue() + bytes(64)


def _facts(**facts):
    return array_file(np.frombuffer(json.dumps({"version": 1, **facts}).encode(), np.uint8))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("logits", array_file(np.array([_Harmful()]), allow_pickle=True), "logits is object"),
        ("logits", pickle.dumps(_Harmful()), "magic"),
        ("logits", _promise((10**9, 10**6)), "cut off"),
        ("logits", array_file(np.full((6, 3), np.nan, np.float32)), "not all .* finite"),
        ("logits", array_file(np.zeros((5, 3), np.float32)), "labels"),
        ("labels", array_file(np.full(6, 3, np.int32)), "outside of the 3 classes"),
        ("labels", array_file(np.zeros(6, np.int64)), "labels is int64"),
        ("mistakes", array_file(np.array([6], np.int32)), "not tested"),
        ("mistakes", array_file(np.array([4], np.int32)), "has no frames"),
        ("shown", array_file(np.array([1, 0, 3, 5], np.int32)), "not in order"),
        ("jpeg_ends", array_file(np.arange(1, 9)), "frames"),
        ("jpeg_ends", array_file(np.arange(8) - 4), "frames"),
        ("facts", _facts(version=2), "version"),
        ("facts", array_file(np.frombuffer(b"[" * 9000, np.uint8)), "damaged"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(file, name, content, sentence):
    with pytest.raises(ValueError, match=sentence) as raised:
        read_looks(replaced(file, name, content))
    assert len(str(raised.value)) < 250


def test_enhanced_frames_come_whole_or_not_at_all(file, looks):
    enhanced = joined("enhanced_jpeg", looks.frames)
    write_looks(file, looks._replace(**enhanced))
    assert read_looks(file).enhanced == looks.frames
    for name, array in enhanced.items():
        write_looks(file, looks)
        with pytest.raises(ValueError, match=f"{name} without the other"):
            read_looks(replaced(file, name, array_file(array)))


def test_frames_that_are_no_pictures_or_too_large_are_refused(file, looks):
    with pytest.raises(ValueError, match="damaged"):
        read_looks(replaced(file, "jpeg", array_file(np.zeros_like(read_jpeg(looks)))))
    wide = make_looks(looks.logits, LABELS, side=520)
    write_looks(file, wide)
    with pytest.raises(ValueError, match="520 x 520"):
        read_looks(file)


def read_jpeg(looks):
    return np.frombuffer(b"".join(p for clip in looks.frames for p in clip), np.uint8)


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(file):
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more.npy", bytes(257_000_000), compresslevel=1)
    assert file.stat().st_size < 3_000_000
    with pytest.raises(ValueError, match="256 MB"):
        read_looks(file)


@settings(max_examples=60)
@given(st.data())
def test_damage_is_told_and_never_another_error(tmp_path_factory, looks, data):
    path = tmp_path_factory.mktemp("damaged") / "looks.npz"
    write_looks(path, looks)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])
    assert told(path).startswith("it is damaged") or told(path) == ""


def told(path):
    try:
        read_looks(path)
    except ValueError as error:
        return str(error)
    return ""


def test_looks_of_another_training_are_left_out_and_told(tmp_path, looks):
    phase = tmp_path / "run" / "student"
    phase.mkdir(parents=True)
    entry = {"network": "student", "top1": 0.0, "class_names": ["a", "b", "c"]}
    (phase / "network.json").write_text("{}")
    (phase / "result.json").write_text(json.dumps(entry))
    write_looks(phase / "looks.npz", looks)

    def read():
        (run,) = read_runs(find_runs([tmp_path]))
        return run.phases[0].looks, [p for p in run.problems if "looks.npz" in p]

    found, problems = read()
    assert found is None
    assert "not of the training" in problems[0]

    digest = hashlib.sha256((phase / "result.json").read_bytes()).hexdigest()
    mended = looks._replace(facts={**looks.facts, "result_sha256": digest})
    write_looks(phase / "looks.npz", mended)
    found, problems = read()
    assert found is not None
    assert "the run's own test 0.00%" in problems[0]

    (phase / "looks.npz").write_bytes(b"PK")
    found, problems = read()
    assert found is None
    assert "make it again with --look" in problems[0]
