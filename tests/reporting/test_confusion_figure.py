"""The picture of a confusion matrix: sizes, files, numbers in cells, empty rows."""

import pathlib

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest

from rgb2ir_jax.reporting.confusion import confusion_figure, confusion_image, save_confusion_png


def random_confusion(classes: int) -> np.ndarray:
    rng = np.random.default_rng(classes)
    return rng.integers(0, 4, (classes, classes)) + 30 * np.eye(classes, dtype=int)


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_png_and_array_show_the_same_picture(tmp_path: pathlib.Path, classes: int) -> None:
    confusion = random_confusion(classes)
    names = [f"class number {index}" for index in range(classes)]
    path = tmp_path / "confusion.png"

    save_confusion_png(path, confusion, names, title="random")
    image = confusion_image(confusion, names, title="random")

    stored = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(stored, image)
    assert image.dtype == np.uint8
    assert min(image.shape[:2]) > 500
    assert plt.get_fignums() == []


def test_cells_are_percent_of_the_true_class() -> None:
    confusion = np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]])
    figure = confusion_figure(confusion, ["a", "b", "c"], title="counts")
    axes = figure.axes[0]

    cells = {tuple(text.get_position()): text.get_text() for text in axes.texts}

    assert cells == {
        (0, 0): "75",
        (1, 0): "25",
        (2, 0): "0",
        (0, 2): "25",
        (1, 2): "25",
        (2, 2): "50",
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (4)", "b (0)", "c (4)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert figure.get_suptitle() == "counts"


def test_names_must_match_the_matrix() -> None:
    with pytest.raises(ValueError, match=r"shape \(3, 3\) and 2 class names"):
        confusion_figure(np.eye(3, dtype=int), ["a", "b"], title="wrong")
