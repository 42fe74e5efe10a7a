"""The command and its Python twin: folders, reruns, and mistakes at the keyboard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rgb2ir_jax.synthesis.casting import choose_samples
from rgb2ir_jax.synthesis.dataset import SynthesisError, film_dataset
from rgb2ir_jax.synthesis.film import film_pair, pair_paths
from rgb2ir_jax.synthesize import main


def test_a_folder_is_filled_and_a_second_call_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], same_film: Callable[[Path, Path], bool]
) -> None:
    out = tmp_path / "footage"
    common = [f"--out={out}", "--height", "32", "--workers=2", "--quiet", "--seed=4"]
    assert main([*common, "--clips=3"]) == 0
    assert "filmed 3 pairs" in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.avi")}
    assert len(before) == 6
    assert main([*common, "--clips=5"]) == 0
    said = capsys.readouterr().out
    assert "3 pairs were there already" in said
    assert "filmed 2 pairs" in said
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.avi")}
    assert len(after) == 10
    assert all(after[path] == time for path, time in before.items())
    manifest = json.loads((out / "synthesis.json").read_text())
    assert manifest["height"] == 32
    assert manifest["seed"] == 4
    # A worker process films what this process does.
    name = choose_samples(5, 4)[4]
    film_pair(tmp_path / "alone", name, 4, 32)
    for made, alone in zip(
        pair_paths(out, name), pair_paths(tmp_path / "alone", name), strict=True
    ):
        assert same_film(made, alone)
    # Other settings do not mix with what is there.
    assert main([f"--out={out}", "--clips=3", "--height=64", "--seed=4", "--quiet"]) == 1
    assert "height=32 (asked for 64)" in capsys.readouterr().err


def test_a_pair_that_lost_a_file_is_filmed_again(
    tmp_path: Path, same_film: Callable[[Path, Path], bool]
) -> None:
    film_dataset(tmp_path, 1, 32, 0, 1, progress=False)
    _, ir = pair_paths(tmp_path, choose_samples(1, 0)[0])
    kept = ir.rename(tmp_path / "kept.avi")
    report = film_dataset(tmp_path, 1, 32, 0, 1, progress=False)
    assert (report.filmed, report.reused) == (1, 0)
    assert same_film(ir, kept)


def test_a_broken_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "synthesis.json").write_text("{")
    with pytest.raises(SynthesisError, match=r"synthesis\.json cannot be read"):
        film_dataset(tmp_path, 1, 32, 0, 1, progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clips=3"], "--out=DIR"),
        (["--out=x", "--clips=none"], "'none' is not a whole number from 1 to 10280"),
        (["--out=x", "--clips=0"], "'0' is not a whole number"),
        (["--out=x", "--clips=3", "--height=107"], "107 is odd"),
        (["--out=x", "--clips=3", "--height=8"], "'8' is not a whole number from 32"),
        (["--out=x", "--clips=3", "--layout=kinetics"], "invalid choice"),
        (["--out=x", "--clips=3", "--hieght=108"], "unrecognized arguments"),
        (["--out=x", "--clips=3", "--workers=0"], "'0' is not a whole number"),
    ],
)
def test_wrong_arguments_end_with_code_two(
    arguments: list[str], message: str, refusal: Callable[[list[str]], str]
) -> None:
    assert message in refusal(arguments)


def test_an_unwritable_folder_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([f"--out={tmp_path / 'file' / 'x'}", "--clips=1", "--height=32", "--quiet"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write to")
    assert said.count("\n") == 1


def test_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; from rgb2ir_jax.synthesize import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'cv2', 'av', 'jax', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_contact_sheet_is_drawn(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.jpg"
    assert main([f"--contact-sheet={sheet}", "--height=32"]) == 0
    import cv2

    picture = cv2.imread(str(sheet))
    assert picture is not None
    assert picture.shape[0] == 10 * 2 * 120
