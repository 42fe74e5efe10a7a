"""What runs wrote, read without their code: the files may be old, unfinished, damaged or made up."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rgb2ir_jax.reporting.runs.look_file import LOOKS_FILE, Looks, read_looks
from rgb2ir_jax.reporting.runs.record import Curve, Phase, Run, number, text

NETWORKS = ("teacher", "student", "frame", "differences", "flow", "global_image")
"""Folders of networks in a run: the last four are the streams of TSTDDs."""
FUSED = "tstdd"
"""Folder of what TSTDDs' streams say together, which has been trained as they were."""

_MOST_BYTES = {".json": 32_000_000, ".jsonl": 64_000_000}
_MOST_FOLDERS, _MOST_RUNS, _DEEPEST = 20_000, 300, 6
_MOST_CURVES, _MOST_FIELDS = 100, 2_000
_TOLERANCE = 1e-6  # Of what was rounded in writing.


def find_runs(given: Sequence[Path]) -> list[Path]:
    """The work directories among and below what was given, in order and once each.

    Links are not followed; nothing is looked for inside a run.

    Raises:
        ValueError: a path is no folder or holds no run, or there are too many.
    """
    found: dict[Path, None] = {}
    for path in given:
        if not path.is_dir():
            what = "is a file" if path.exists() else "does not exist"
            raise ValueError(f"{path} {what}; give a run's work directory, or a folder above runs")
        if path.name in NETWORKS and _is_phase(path) and not _is_run(path):
            raise ValueError(f"{path} is one network of a run; give the run: {path.parent}")
        runs = list(_runs_below(path))
        if not runs:
            raise ValueError(
                f"{path} holds no run: found no folder with config.json and teacher/ or student/ as "
                "`python -m rgb2ir_jax.main --workdir=DIR` makes them"
            )
        found |= dict.fromkeys(run.resolve() for run in runs)
    if len(found) > _MOST_RUNS:
        raise ValueError(f"found {len(found)} runs; one page shows {_MOST_RUNS} at most")
    return list(found)


def _runs_below(top: Path) -> Iterator[Path]:
    for visited, (folder, below, _) in enumerate(os.walk(top)):
        path = Path(folder)
        if visited > _MOST_FOLDERS:
            raise ValueError(f"{top} has more than {_MOST_FOLDERS} folders below; name the runs")
        if _is_run(path):
            below.clear()
            yield path
        deep = len(path.relative_to(top).parts) >= _DEEPEST
        below[:] = [] if deep else sorted(name for name in below if not name.startswith("."))


def _is_run(folder: Path) -> bool:
    if any(_is_phase(folder / network) for network in NETWORKS):
        return True
    return (folder / "config.json").is_file() and any(
        (folder / name).is_file() for name in ("data_set.json", "result.json")
    )


def _is_phase(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("metrics.jsonl", "network.json"))


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Reads runs; what is broken becomes one of a run's `problems` and no error."""
    if not folders:
        return []
    # A lone run has nothing to be told apart from.
    top = os.path.commonpath([folder.parent for folder in folders])
    return [_read_run(folder, os.path.relpath(folder, top)) for folder in folders]


def _read_run(folder: Path, name: str) -> Run:
    problems: list[str] = []
    config = _read_object(folder / "config.json", problems, needed=True)
    data_set = _read_object(folder / "data_set.json", problems, needed=True)
    result = _read_object(folder / "result.json", problems)
    flat = _flatten(config or _mapping(result.get("config")))
    networks = result.get("networks")
    entries = [e for e in networks if isinstance(e, dict)] if isinstance(networks, list) else []
    phases = []
    for network in (*NETWORKS, FUSED):
        entry = next((e for e in entries if e.get("network") == network), {})
        if (folder / network).is_dir() or entry:
            phases.append(_read_phase(folder / network, network, entry, flat, name, problems))
    return Run(name, config, data_set, result, tuple(phases), tuple(problems))


def _read_phase(
    folder: Path,
    network: str,
    entry: Mapping[str, Any],
    config: Mapping[str, Any],
    run: str,
    problems: list[str],
) -> Phase:
    own = _read_object(folder / "result.json", problems)
    trained = network != FUSED
    spec = _read_object(folder / "network.json", problems, needed=trained)
    points: dict[str, list[tuple[float, float]]] = {}
    _read_curves(folder / "metrics.jsonl", points, problems, needed=trained)
    _read_curves(folder / "timing.jsonl", points, problems)
    epochs = points.pop("epoch", [])
    steps_per_epoch = next((s / e for s, e in reversed(epochs) if e > 0 and s > 0), None)
    curves = {name: Curve(found) for name, found in points.items()}
    phase = Phase(network, own or entry, spec, curves, steps_per_epoch, config, run)
    looks = _read_looks(folder, phase, problems) if own else None
    return dataclasses.replace(phase, looks=looks)


def _read_looks(folder: Path, phase: Phase, problems: list[str]) -> Looks | None:
    """What the network makes of the test clips, unless it is that of an earlier training."""
    path, again = folder / LOOKS_FILE, "make it again with --look"
    if not path.is_file():
        return None
    try:
        looks = read_looks(path)
        trained = hashlib.sha256((folder / "result.json").read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        problems.append(f"{_where(path)} cannot be read: {text(error)}; {again}")
        return None
    if looks.facts.get("result_sha256") != trained:
        problems.append(f"{_where(path)} is not of the training that result.json tells of; {again}")
        return None
    if looks.logits.shape[1] != len(phase.class_names):
        problems.append(f"{_where(path)} has {looks.logits.shape[1]} classes; {again}")
        return None
    found = float(np.mean(np.argmax(looks.logits, axis=1) == looks.labels))
    told = phase.share("top1")
    if told is not None and abs(found - told) > _TOLERANCE:
        problems.append(
            f"{_where(path)} has a top-1 of {found:.2%}, the run's own test {told:.2%}: other records, "
            "devices or versions"
        )
    return looks


def _where(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _bounded(path: Path, problems: list[str], needed: bool) -> bool:
    if not path.is_file():
        if needed or path.exists():
            problems.append(f"{_where(path)} is missing")
        return False
    if path.stat().st_size > (most := _MOST_BYTES[path.suffix]):
        problems.append(f"{_where(path)} is larger than {most // 1_000_000} MB and was not read")
        return False
    return True


def _read_object(path: Path, problems: list[str], *, needed: bool = False) -> dict[str, Any]:
    try:
        if not _bounded(path, problems, needed):
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{_where(path)} cannot be read: {text(error)}")
        return {}
    if not isinstance(found, dict):
        problems.append(f"{_where(path)} is no JSON object")
        return {}
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting and len(flat) < _MOST_FIELDS:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [(f"{name}.{key}" if name else str(key), v) for key, v in value.items()]
        else:
            flat[name] = value
    return dict(sorted(flat.items()))


def _read_curves(
    path: Path,
    points: dict[str, list[tuple[float, float]]],
    problems: list[str],
    *,
    needed: bool = False,
) -> None:
    """Adds the numbers of a file of JSON lines; counts what is no line or no number."""
    broken, not_finite = 0, 0
    try:
        if not _bounded(path, problems, needed):
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    broken += 1
                    continue
                step = number(entry.get("step")) if isinstance(entry, dict) else None
                if step is None:
                    broken += 1
                    continue
                for name, value in entry.items():
                    found = number(value)
                    if name == "step" or (name not in points and len(points) >= _MOST_CURVES):
                        continue
                    if found is None:
                        not_finite += isinstance(value, float) or value is None
                    else:
                        points.setdefault(name, []).append((step, found))
    except OSError as error:
        problems.append(f"{_where(path)} cannot be read: {text(error)}")
    if broken:
        problems.append(f"{_where(path)} has {broken:,} lines that are no JSON object with a step")
    if not_finite:
        problems.append(f"{_where(path)} has {not_finite:,} values that are not finite")
