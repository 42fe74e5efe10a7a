"""The command from flags to page, with and without mistakes, and without TensorFlow."""

import html.parser
import json
import os
import shutil
import subprocess
import sys

import pytest

from rgb2ir_jax.inspect_data import main
from rgb2ir_jax.reporting.build_report import read_build_report

# ml_collections loads config files in a way that Python 3.11 calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

EVIL = "<script>alert('x')</script> & more"
SMALL = ["--config.data.segments=3", "--config.data.resize=20", "--config.data.crop=16"]


@pytest.fixture(scope="module")
def data_dir(records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    train = [records.make(f"t{i}", i % 2, performer=f"p{i % 3}", camera=i % 2) for i in range(10)]
    test = [records.make(f"e{i}", i % 2, performer=EVIL, camera=i % 2) for i in range(9)]
    test.append({**train[3], "sample_id": "copy"})
    build = records.build(folder, [EVIL, "clap"], {"train": train, "test": test}, name="own")
    skipped = {f"{EVIL}{i}": f"the file is empty {EVIL}" for i in range(300)}
    notes = {"rows": 3, "names": ["a", EVIL], "nothing": {}, "setups": {"1": "2 of 60"}}
    report = {"samples": 320, "skipped": skipped, "written": {"train": 10}, "notes": notes}
    (build / "build_report.json").write_text(json.dumps(report))
    return folder


def run(data_dir, out, *more):
    return main(
        [
            f"--data_dir={data_dir}",
            "--dataset=own/default",
            f"--out={out}",
            "--quiet",
            *SMALL,
            *more,
        ]
    )


class Page(html.parser.HTMLParser):
    """Tags, addresses and texts of a page; fails where tags do not close."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.addresses, self.texts, self.open = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src", "srcset")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def page(data_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "new" / "page.html"
    assert run(data_dir, out) == 0
    return Page(out)


def test_the_page_stands_alone(page):
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert page.addresses
    assert all(a.startswith(("data:image/jpeg;base64,", "#")) for a in page.addresses)


def test_the_page_tells_what_is_there(page):
    text = " ".join(page.texts)
    for expected in (
        "own/default",
        "1.2.0",
        "10 train, 10 test",
        "t3 (train) = copy (test)",
        "Performer",
        "Camera",
        "40 x 24 (20)",
        "30/s (20)",
        "the same count of frames in all 20 pairs",
        f"a, {EVIL}",
        "1: 2 of 60",
        "and 100 more",
    ):
        assert expected in text
    # Two classes, two modalities, three test frames, one of training; the whole frame is in SVG.
    assert page.tags.count("img") == 2 * 2 * 4
    assert page.tags.count("image") == 2 * 2


def test_what_is_shown_can_be_chosen(data_dir, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert run(data_dir, out, "--split=test", "--max_clips=4") == 0
    text = " ".join(Page(out).texts)
    assert "10 test clips of 2 classes" in text
    assert "Only 4 of 10 clips were looked at" in text
    assert "10 train" in text, "the other split is named"
    said = capsys.readouterr().out
    assert "note: Only 4 of 10 clips" in said
    assert f"wrote {out}" in said


def test_without_a_build_report(data_dir, tmp_path):
    assert (
        read_build_report(tmp_path).problem == "There is no build_report.json beside the records."
    )
    for text in ("{", "[1]", "\udcff", "[" * 100_000):
        (tmp_path / "build_report.json").write_bytes(text.encode("utf-8", "surrogateescape"))
        report = read_build_report(tmp_path)
        assert not report.contents
        assert report.problem


def test_a_broken_frame_is_told_and_the_page_written(records, tmp_path, capsys):
    pictures = records.pictures(0, 6, 24, 40, 3)
    broken = [jpeg[:200] + b"\0" * 50 for jpeg in pictures]
    clips = [records.make("good", 0), records.make("bad", 1, rgb=broken)]
    records.build(tmp_path, ["a", "b"], {"train": clips}, name="own")
    assert run(tmp_path, tmp_path / "page.html") == 0
    said = capsys.readouterr().out
    assert "problem: RGB pictures of 1 clip are not to be decoded" in said
    assert "problem: No sample of bad (train)" in said


@pytest.mark.parametrize("left", [0, 40_000])
def test_damaged_files_of_records_are_told(data_dir, tmp_path, capsys, left):
    copy = tmp_path / "data"
    shutil.copytree(data_dir, copy)
    (file,) = copy.glob("*/*/*/*train*record*")
    os.truncate(file, left)
    assert run(copy, tmp_path / "page.html") == 1
    said = capsys.readouterr().err
    assert "of the split 'train' cannot be read" in said
    assert "build the data set again" in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--dataset=own/other"], 1, "built there: own/default"),
        (["--data_dir=/no/such/folder"], 1, "'/no/such/folder', and there is no such folder"),
        (["--split=val"], 1, "no split 'val'; it has train, test"),
        (["--split=train[:x]"], 1, "train[:x]"),
        (["--split=train,,test"], 2, "names of splits"),
        (["--dataset=own"], 2, "expected a name and a config"),
        (["--dataset=../own"], 2, "expected a name and a config"),
        (["--max_clips=-1"], 2, "'-1' is not a whole number"),
        (["--config=no_such.py"], 2, "no_such.py"),
        (["--config=README.md"], 2, "README.md is no config file"),
        (["--config.data.corp=3"], 2, 'Did you mean "crop"'),
        (["--config.data.crop=abc"], 2, "--config.data.crop=abc"),
        (["--config.data.crop=300"], 2, "resize must be at least crop"),
        (["--hieght=3"], 2, "unrecognized arguments: --hieght=3"),
    ],
)
def test_mistakes(data_dir, tmp_path, capsys, arguments, code, message):
    out = tmp_path / "page.html"
    try:
        found = run(data_dir, out, *arguments)
    except SystemExit as stop:
        found = stop.code
    assert found == code
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not out.exists()


def test_places_that_cannot_be_written(data_dir, tmp_path, capsys):
    assert run(data_dir, tmp_path) == 1
    assert "is a folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert run(data_dir, tmp_path / "file" / "page.html") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_page_needs_no_tensorflow(data_dir, tmp_path):
    (tmp_path / "tensorflow.py").write_text("raise ImportError('TensorFlow is blocked')")
    out = tmp_path / "page.html"
    chosen = [f"--data_dir={data_dir}", "--dataset=own/default", f"--out={out}", *SMALL]
    done = subprocess.run(
        [sys.executable, "-m", "rgb2ir_jax.inspect_data", *chosen],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert Page(out).tags.count("article") == 2


def test_help_needs_no_heavy_import():
    code = (
        "import sys; from rgb2ir_jax.inspect_data import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'cv2', 'jax', 'rich', 'tensorflow_datasets'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
