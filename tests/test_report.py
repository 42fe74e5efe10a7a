"""The command: one page from work directories, errors in one line, and nothing heavy imported."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from rgb2ir_jax.report import main

ROOT = pathlib.Path(__file__).parents[1]
CLASS_COUNT = 30
CLASSES = [f"class {k}" for k in range(CLASS_COUNT)]


def write_run(folder, variant, seed, steps=2_000):
    """A finished run as rgb2ir_jax.main leaves it, with long curves and many classes."""
    network = "teacher" if variant == "teacher" else "student"
    phase = folder / network
    phase.mkdir(parents=True)
    rng = np.random.default_rng(seed + sum(map(ord, variant)))
    confusion = rng.integers(0, 3, (CLASS_COUNT, CLASS_COUNT)) + 20 * np.eye(CLASS_COUNT, dtype=int)
    entry = {
        "network": network, "variant": variant, "modality": "ir", "seed": seed,
        "top1": float(np.trace(confusion) / confusion.sum()), "data_set": "ntu_rgbd_ir/all_xsub",
        "synthetic": False, "class_names": CLASSES, "metrics": {"confusion": confusion.tolist()},
    }  # fmt: skip
    config = {"name": "ntu", "variant": variant, "seed": seed, "optimizer": {"learning_rate": 0.1}}
    with (phase / "metrics.jsonl").open("w") as file:
        for step in range(1, steps):
            names = ("loss", "ce", "dkd", "mgcam", "grad_norm", "learning_rate", "accuracy")
            values = {
                f"train/{name}": float(v) for name, v in zip(names, rng.random(7), strict=True)
            }
            file.write(json.dumps({"step": step, "epoch": step / 50, **values}) + "\n")
    for name, content in (
        ("config.json", config),
        ("data_set.json", {"data_set": "ntu_rgbd_ir/all_xsub/1.0.0", "digest": "d"}),
        ("result.json", {"networks": [entry]}),
        (f"{network}/result.json", entry),
        (f"{network}/network.json", {"depth": 18, "width": 64}),
    ):
        (folder / name).write_text(json.dumps(content))
    return folder


def test_thirty_runs_of_many_classes_make_a_page_of_bounded_size(tmp_path):
    variants = ["teacher", "student", *(f"method{k}" for k in range(8))]
    for seed in range(3):
        for variant in variants:
            write_run(tmp_path / "runs" / f"seed{seed}" / variant, variant, seed, steps=100)
    out = tmp_path / "new" / "report.html"
    assert main([str(tmp_path / "runs"), f"--out={out}"]) == 0
    page = out.read_text()
    assert len(page) < 10_000_000
    assert "30 runs; 30 trained networks" in page
    assert "http://" not in page
    assert "https://" not in page


def test_one_run_with_long_curves(tmp_path, capsys):
    run = write_run(tmp_path / "run", "dkd", 0)
    out = tmp_path / "report.html"
    assert main(["--out", str(out), str(run)]) == 0
    assert "1 run; 1 trained network" in out.read_text()
    assert out.stat().st_size < 1_000_000
    assert capsys.readouterr().out.startswith(f"wrote {out}")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: [str(path / "none"), f"--out={path}/r.html"], "does not exist"),
        (lambda path: [str(path), f"--out={path}/r.html"], "holds no run"),
        (lambda path: [str(path), f"--out={path}"], "is a folder"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(tmp_path, capsys, make, sentence):
    with pytest.raises(SystemExit) as ended:
        main(make(tmp_path))
    assert ended.value.code == 2
    written = capsys.readouterr().err
    assert written.startswith("error: ")
    assert sentence in written
    assert written.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


def test_it_reads_files_only(tmp_path):
    run = write_run(tmp_path / "run", "dkd", 0, steps=5)
    script = (
        "import sys; from rgb2ir_jax.report import main; "
        f"assert main([{str(run)!r}, '--out={tmp_path}/r.html']) == 0; "
        "print(sorted({'jax', 'flax', 'tensorflow', 'grain'} & {m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
