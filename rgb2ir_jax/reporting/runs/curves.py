"""Learning curves of many runs: what was written while they trained, a chart for each number."""

import numpy as np

from rgb2ir_jax.reporting.line_chart import Line, line_chart, line_legend
from rgb2ir_jax.reporting.page import Markup, element, join
from rgb2ir_jax.reporting.runs.groups import Comparison
from rgb2ir_jax.reporting.runs.record import Curve

# Title, unit and factor of the numbers that every run writes.
_KNOWN = {
    "test/top1": ("Top-1 accuracy on test clips", "%", 100.0),
    "test/top5": ("Top-5 accuracy on test clips", "%", 100.0),
    "test/mean_class_accuracy": ("Mean class accuracy on test clips", "%", 100.0),
    "test/loss": ("Cross-entropy on test clips", "nats", 1.0),
    "train/accuracy": ("Top-1 accuracy on training clips", "%", 100.0),
    "train/loss": ("Whole loss, training", "", 1.0),
    "train/ce": ("Cross-entropy on training clips", "nats", 1.0),
    "train/learning_rate": ("Learning rate", "", 1.0),
    "train/grad_norm": ("Gradient norm", "", 1.0),
    "clips_per_second": ("Speed of training", "clips/s", 1.0),
}
_PARTS = (
    ("Test", ("test/top1", "test/loss", "test/top5", "test/mean_class_accuracy")),
    ("Training", ("train/loss", "train/accuracy")),
    ("Terms of the loss", ("train/ce",)),
    ("Optimisation and speed", ("train/learning_rate", "train/grad_norm", "clips_per_second")),
)
_TERMS = 2  # The place in _PARTS of what methods add.
_MOST_CHARTS = 48
# Bounds the page: so many points are shared by the series of a chart.
_POINTS_OF_A_CHART, _FEWEST_POINTS, _MOST_POINTS = 9_000, 40, 300


def curves_section(comparison: Comparison) -> Markup | None:
    """The charts of a comparison, all groups in each; None if no run wrote any number."""
    names = {name for group in comparison.groups for phase in group.phases for name in phase.curves}
    in_epochs = all(
        phase.steps_per_epoch is not None
        for group in comparison.groups
        for phase in group.phases
        if phase.curves
    )
    listed = {name for _, part in _PARTS for name in part}
    more = sorted(names - listed)
    parts = [(heading, [name for name in part if name in names]) for heading, part in _PARTS]
    parts[_TERMS][1].extend(name for name in more if name.startswith("train/"))
    parts.append(("Other numbers", [name for name in more if not name.startswith("train/")]))
    drawn, left = [], _MOST_CHARTS
    for heading, part in parts:
        charts = []
        for name in part:
            # A term of weight 1 would be drawn twice.
            if name.endswith("_weighted") and _is_repeated(comparison, name):
                continue
            if left > 0 and (chart := _chart(comparison, name, in_epochs)):
                charts.append(chart)
            left -= 1
        if charts:
            drawn += [element("h3", heading), element("div", charts, class_="charts")]
    if not drawn:
        return None
    many = max(len(group.phases) for group in comparison.groups) > 1
    hidden = f" {-left} more numbers are in the runs' files." if left < 0 else ""
    text = "A line is a training; those of one colour differ in the seed alone. " if many else ""
    return join(
        element("p", f"{text}Training numbers are means since the point before.{hidden}"),
        line_legend([group.label for group in comparison.groups]),
        drawn,
    )


def _is_repeated(comparison: Comparison, name: str) -> bool:
    plain = name.removesuffix("_weighted")
    pairs = [
        (phase.curves[name], phase.curves.get(plain))
        for group in comparison.groups
        for phase in group.phases
        if name in phase.curves
    ]
    return all(
        other is not None and np.array_equal(curve.value, other.value) for curve, other in pairs
    )


def _chart(comparison: Comparison, name: str, in_epochs: bool) -> Markup | None:
    title, unit, factor = _KNOWN.get(name) or (_title(name), "", 1.0)
    lines = [
        _line(style, curve, phase.steps_per_epoch, in_epochs, factor)
        for style, group in enumerate(comparison.groups)
        for phase in group.phases
        if (curve := phase.curves.get(name))
    ]
    if not lines:
        return None
    most = min(_MOST_POINTS, max(_FEWEST_POINTS, _POINTS_OF_A_CHART // len(lines)))
    return line_chart(
        lines,
        title=f"{title} ({unit})" if unit else title,
        x_label="epoch" if in_epochs else "step",
        y_label=unit or (title if len(title) < 24 else "value"),
        most_points=most,
    )


def _line(
    style: int, curve: Curve, steps_per_epoch: float | None, in_epochs: bool, factor: float
) -> Line:
    scale = steps_per_epoch if in_epochs and steps_per_epoch else 1.0
    return Line(style, curve.step / scale, factor * curve.value)


def _title(name: str) -> str:
    plain = name.removeprefix("train/")
    if plain.endswith("_weighted"):
        return f"{plain.removesuffix('_weighted')}, times its weight"
    return plain
