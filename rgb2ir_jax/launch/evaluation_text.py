"""What `rgb2ir_jax.evaluate` found, as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rgb2ir_jax.reporting.tables import describe_variant, markdown_table

_FIGURES = (
    ("top1", "top-1"),
    ("top5", "top-5"),
    ("mean_class_accuracy", "mean class accuracy"),
    ("macro_precision", "macro precision"),
    ("macro_f1", "macro F1"),
    ("mAP_classification", "mAP (classification)"),
    ("mAP_detection", "mAP (detection)"),
    ("ece", "calibration error"),
)


def figures_text(outcome: Mapping[str, Any]) -> str:
    """Tables of a network's figures and classes, and whether they are those of its training.

    Args:
        outcome: what the command writes.
    """
    metrics, intervals = outcome["metrics"], outcome["intervals"]
    figures = []
    for name, title in _FIGURES:
        interval = _percent(intervals[name]) if name in intervals else ""
        figures.append((title, f"{100 * metrics[name]:.2f}", interval))
    classes = []
    for number, name in enumerate(outcome["class_names"]):
        shares = (metrics[key][number] for key in ("precision", "per_class_accuracy", "f1"))
        clips = sum(metrics["confusion"][number])
        classes.append(
            (name, str(clips), *("-" if s is None else f"{100 * s:.1f}" for s in shares))
        )
    return "\n".join(
        [
            (
                f"{_title(outcome)}\n{metrics['examples']} {'synthetic ' * outcome['synthetic']}clips "
                f"of {outcome['data_set']}, split {outcome['split']}; "
                f"{outcome['protocol']['description']}; logits averaged\n"
            ),
            _table(("figure", "%", f"{100 * intervals['level']:g}% interval"), figures),
            _table(("class", "clips", "precision %", "recall %", "F1 %"), classes),
            _reproduction(outcome),
        ]
    )


def comparison_text(outcome: Mapping[str, Any]) -> str:
    """Tables of what a network gains over the one that it was compared with.

    Args:
        outcome: what the command writes, with its `comparison`.
    """
    other = outcome["comparison"]
    figures = [
        (
            title,
            f"{100 * other['metrics'][name]:.2f}",
            f"{100 * other['gain'][name]:+.2f}",
            _percent(other["gain_interval"][name], sign="+"),
        )
        for name, title in _FIGURES
        if name in other["gain"]
    ]
    classes = [
        (name, "-" if gain is None else f"{100 * gain:+.1f}", f"{p:.2g}")
        for name, gain, p in zip(
            outcome["class_names"], other["per_class_gain"], other["per_class_p"], strict=True
        )
    ]
    level = f"{100 * outcome['intervals']['level']:g}% interval"
    return "\n".join(
        [
            (
                f"Compared with {_title(other)}, on the same clips:\n"
                f"both name the same class for {100 * other['agreement']:.1f}% of them; right are both "
                f"on {other['both_right']}, only this one on {other['only_this_right']}, only the other "
                f"on {other['only_other_right']}, neither on {other['both_wrong']}; McNemar's exact "
                f"test: p = {other['mcnemar_p']:.2g}\n"
            ),
            _table(("figure", "other %", "gain, points", level), figures),
            _table(("class", "gain, points", "p"), classes),
            "p of a class is not corrected for the number of classes.",
        ]
    )


def _title(entry: Mapping[str, Any]) -> str:
    if entry["variant"] == "exported":
        return f"exported {entry['network']}, {entry['run']}"
    return f"{describe_variant(entry['variant'])}, seed {entry['seed']}, {entry['folder']}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table([head, *rows], text_columns=1) + "\n"


def _percent(interval: Sequence[float], sign: str = "") -> str:
    low, high = (format(100 * end, f"{sign}.2f") for end in interval)
    return f"{low} to {high}"


def _reproduction(outcome: Mapping[str, Any]) -> str:
    reproduced, exported = outcome["reproduces"], outcome["variant"] == "exported"
    if reproduced is None:
        return (
            "The test at the end of the training was another one: its data set, split, frames or crops"
            f"{', or is not told' * exported}."
        )
    noted = "its training's own test" if exported else f"{outcome['folder']}/result.json"
    if reproduced["exactly"]:
        return (
            f"Reproduces {noted}: {len(reproduced['compared'])} figures, equal to the last digit."
        )
    lines = [
        f"  {name}: {then} then, {now} now" for name, (then, now) in reproduced["differing"].items()
    ]
    rounding = "a program's other rounding (its BatchNorm is folded), " * exported
    return "\n".join(
        [
            f"Differs from {noted}:",
            *lines,
            f"Reasons can be {rounding}other records, devices, precision or versions than the run's.",
        ]
    )
