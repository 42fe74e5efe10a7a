"""What networks cost, and how far each training came."""

import statistics
from collections.abc import Sequence

from rgb2ir_jax.reporting.page import Markup, disclosure, element, join, table
from rgb2ir_jax.reporting.runs.groups import Comparison, Group
from rgb2ir_jax.reporting.runs.record import Phase, architecture_name, number, text

_STACKS = {"differences": "stacks of differences", "flow": "stacks of flow"}


def cost_section(comparison: Comparison) -> Markup | None:
    """What networks cost, one row a group; None if nothing tells."""
    columns = (
        ("Network", lambda g: g.label),
        ("Architecture", lambda g: _architecture(g.phases[0])),
        ("Parameters", lambda g: _quantity(g, "parameters", 1e-6, " M")),
        ("GMAC a clip", lambda g: _quantity(g, "gmac", 1.0, "")),
        ("Steps", lambda g: _quantity(g, "steps", 1.0, "", places=0)),
        ("Training", lambda g: _time(g)),
        ("Training speed", lambda g: _speed(g)),
        ("Peak memory", lambda g: _memory(g)),
    )
    rows = [[of(group) for _, of in columns] for group in comparison.groups]
    kept = [k for k in range(len(columns)) if any(row[k] for row in rows)]
    if len(kept) < 2:
        return None
    return join(
        table([columns[k][0] for k in kept], [[row[k] or "-" for k in kept] for row in rows]),
        element(
            "p",
            "Medians over trainings. Training time holds the tests and the compilation; a student's is "
            "without its teacher's. Peak memory is the accelerator's, or, where it says so, that of the "
            "whole process; of either, what the teacher's training in the same process took is "
            "included. Speeds depend on what else the machine did.",
            class_="small quiet",
        ),
    )


def _architecture(phase: Phase) -> str | None:
    depth, width = number(phase.spec.get("depth")), number(phase.spec.get("width"))
    if depth is None:
        return None
    words = [architecture_name(phase.spec, depth)]
    if width is not None and width != 64:
        words.append(f"at {width:.0f}/64 of the width")
    segments, crop = (number(phase.config.get(f"data.{field}")) for field in ("segments", "crop"))
    if segments and crop:
        stream = phase.spec.get("stream")
        name = stream.get("name") if isinstance(stream, dict) else "frame"
        seen = f"{segments:.0f} {_STACKS.get(text(name), 'frames')}"
        seen = "one image" if name == "global_image" else seen
        words.append(f"on {seen} of {crop:.0f} x {crop:.0f}")
    return ", ".join(words[:1]) + " " + " ".join(words[1:]) if words[1:] else words[0]


def _median(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return statistics.median(there) if there else None


def _quantity(group: Group, name: str, factor: float, unit: str, places: int = 2) -> str | None:
    found = _median([number(phase.entry.get(name)) for phase in group.finished])
    return None if found is None else f"{factor * found:,.{places}f}{unit}"


def _time(group: Group) -> str | None:
    found = _median([number(phase.entry.get("seconds")) for phase in group.finished])
    return None if found is None else duration(found)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _speed(group: Group) -> str | None:
    # The first stretch holds the compilation.
    found = _median(
        [
            statistics.median(curve.value[1:].tolist())
            for phase in group.phases
            if (curve := phase.curves.get("clips_per_second")) and len(curve.value) > 1
        ]
    )
    return None if found is None else f"{found:,.0f} clips/s"


def _memory(group: Group) -> str | None:
    """Of the accelerator, or of the process; None if trainings differ in which."""
    noted = [
        entry
        for phase in group.finished
        if isinstance(entry := phase.entry.get("peak_memory"), dict)
    ]
    kinds = {text(entry.get("of", ""), 20) for entry in noted}
    found = _median([number(entry.get("bytes")) for entry in noted])
    if found is None or len(kinds) != 1:
        return None
    return f"{found / 2**30:.2f} GiB" + (" (process)" if kinds == {"process"} else "")


def trainings_table(comparison: Comparison) -> Markup:
    """Every training, one a row, behind a click."""
    rows = [
        [
            phase.run,
            group.label,
            "?" if phase.seed is None else str(phase.seed),
            _percent(phase, "top1"),
            _best(phase),
            _progress(phase),
        ]
        for group in comparison.groups
        for phase in group.phases
    ]
    header = ["Run", "Network", "Seed", "Top-1 %", "Best evaluation", "State"]
    return disclosure(f"Every training ({len(rows)})", table(header, rows))


def _percent(phase: Phase, name: str) -> str:
    found = phase.share(name)
    return "-" if found is None else f"{100 * found:.1f}"


def _best(phase: Phase) -> str:
    best = phase.entry.get("best")
    if isinstance(best, dict) and (value := number(best.get("value"))) is not None:
        step = number(best.get("step"))
        return f"{text(best.get('metric', ''), 40)} {value:.4g}" + (
            f" at step {step:,.0f}" if step is not None else ""
        )
    if (curve := phase.curves.get("test/top1")) and len(curve.value):
        place = int(curve.value.argmax())
        return f"test/top1 {100 * curve.value[place]:.1f}% at step {curve.step[place]:,.0f}"
    return "-"


def _progress(phase: Phase) -> str:
    if phase.finished:
        return "stopped early" if phase.entry.get("stopped_early") is True else "finished"
    steps = [float(curve.step[-1]) for curve in phase.curves.values() if len(curve.step)]
    if not steps:
        return "not begun"
    if phase.steps_per_epoch:
        return f"unfinished, at epoch {max(steps) / phase.steps_per_epoch:.1f}"
    return f"unfinished, at step {max(steps):,.0f}"
