"""The confusion matrix as a picture."""

import pathlib
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, UInt8

if TYPE_CHECKING:
    # It takes half a second to load, which a training's first step need not wait for.
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 100
# Beyond this many classes a number in every cell would hide the picture.
_MOST_CLASSES_WITH_ALL_NUMBERS = 20


def save_confusion_png(
    path: str | pathlib.Path,
    confusion: Int[np.ndarray, "classes classes"],
    class_names: Sequence[str],
    *,
    title: str,
) -> None:
    """Writes the confusion matrix to a PNG file; arguments and errors as `confusion_figure`."""
    figure = confusion_figure(confusion, class_names, title=title)
    figure.savefig(path, format="png", dpi=_DOTS_PER_INCH)


def confusion_image(
    confusion: Int[np.ndarray, "classes classes"], class_names: Sequence[str], *, title: str
) -> UInt8[np.ndarray, "height width 3"]:
    """The confusion matrix as RGB pixels; arguments and errors as `confusion_figure`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(confusion_figure(confusion, class_names, title=title))
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def confusion_figure(
    confusion: Int[np.ndarray, "classes classes"], class_names: Sequence[str], *, title: str
) -> "Figure":
    """Draws a confusion matrix, each row in percent of the true class's clips.

    With up to twenty classes every cell carries its number; with more, the diagonal and the cells
    of at least 5%. The rows of classes without clips are grey.

    Args:
        confusion: (true, predicted) counts.
        class_names: one a class.
        title: above the picture.

    Raises:
        ValueError: when the matrix is not square or the number of names differs from its size.
    """
    from matplotlib.figure import Figure

    classes = len(class_names)
    if confusion.shape != (classes, classes) or not classes:
        raise ValueError(
            f"Found a confusion matrix of shape {confusion.shape} and {classes} class names; "
            "expected one row, one column and one name for each class."
        )
    clips = confusion.sum(axis=1)
    percent = np.ma.masked_all((classes, classes))
    present = clips > 0
    percent[present] = 100.0 * confusion[present] / clips[present, None]

    many = classes > _MOST_CLASSES_WITH_ALL_NUMBERS
    cell = 0.3 if many else max(0.55, 4.5 / classes)
    text_size = 7 if many else 9
    label_size = 9
    figure = Figure(
        figsize=(cell * classes + 3.6, cell * classes + 2.6),
        dpi=_DOTS_PER_INCH,
        layout="constrained",
    )
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    image = axes.imshow(percent, cmap="Blues", vmin=0.0, vmax=100.0, interpolation="nearest")
    for row in np.flatnonzero(present).tolist():
        for column in range(classes):
            value = percent[row, column]
            if many and row != column and value < 5.0:
                continue
            axes.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=text_size,
                color="white" if value > 55.0 else ("0.6" if value < 0.5 else "black"),
            )

    names = [name if many else textwrap.fill(name, 24) for name in class_names]
    rows = [f"{name} ({count})" for name, count in zip(names, clips, strict=True)]
    axes.set_xticks(range(classes), names, rotation=60, fontsize=label_size)
    for label in axes.get_xticklabels():
        # Ends the slanted name under its own column instead of centring it there.
        label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), rows, fontsize=label_size)
    axes.set_xticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(classes - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class (number of clips)")
    # Over the whole figure: over the axes alone, a long title would run out of a small picture.
    figure.suptitle(textwrap.fill(title, 80))
    colour_bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02)
    colour_bar.set_label("share of the true class's clips (%)")
    return figure
