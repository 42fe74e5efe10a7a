"""Features of test clips in two dimensions, networks side by side, as inline SVG.

van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008 (scikit-learn's). Where
there are too few clips for neighbourhoods, principal components.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from rgb2ir_jax.reporting.page import Markup, element, join
from rgb2ir_jax.reporting.runs.groups import Comparison
from rgb2ir_jax.reporting.runs.looks import Shown, choose_networks, in_words

STYLE = """
.planes { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: 1.25rem 1.75rem;
  align-items: end; }
.classes { display: block; columns: 12rem; column-gap: 1.25rem; font-size: .85rem; margin-top: 1rem; }
.classes li { break-inside: avoid; padding-left: 1.4em; text-indent: -1.4em; line-height: 1.35; }
.classes svg { margin: 0 .2em 0 0; width: 1.2em; height: 1.2em; vertical-align: -.25em; }
"""

FEWEST_FOR_TSNE = 20
"""Clips below which t-SNE has no neighbourhoods to keep."""

_PERPLEXITY, _SEED = 30.0, 0
_SIDE, _LEFT, _BOTTOM = 340.0, 20.0, 20.0
# Okabe and Ito's, and three more that are told apart from them.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#1f2328", "#8a8d00",
    "#7b3fbf", "#8c4a32",
)  # fmt: skip
# Drawn from the mark's centre.
_SHAPES = (
    "m-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
    "m-3.1 -3.1h6.2v6.2h-6.2z",
    "m0 -4l4 7h-8z",
    "m0 -4.4l4.4 4.4l-4.4 4.4l-4.4 -4.4z",
    "m0 4l4 -7h-8z",
    "m-1.3 -4.2h2.6v2.9h2.9v2.6h-2.9v2.9h-2.6v-2.9h-2.9v-2.6h2.9z",
)


class Embedding(NamedTuple):
    """Clips in the plane.

    Attributes:
        points: without unit.
        method: "t-SNE" or "PCA".
        axes: names of both axes.
    """

    points: Float[np.ndarray, "clip 2"]
    method: str
    axes: tuple[str, str]


def embed(features: Float[np.ndarray, "clip channel"]) -> Embedding | None:
    """Puts clips into the plane, the same way every time; None if they are all alike.

    Args:
        features: a row a clip, finite.
    """
    wide = features.astype(np.float64)
    # Equal features have no direction, up to the rounding of half precision.
    if len(wide) < 3 or wide.std(axis=0).max() <= 1e-3 * np.abs(wide).max():
        return None
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if wide.shape[1] < 2:
        wide = np.pad(wide, ((0, 0), (0, 1)))
    if len(wide) < FEWEST_FOR_TSNE:
        components = PCA(2, svd_solver="full", random_state=_SEED)
        points = components.fit_transform(wide)
        shares = [f"{share:.0%} of the variance" for share in components.explained_variance_ratio_]
        first, second = (f"principal component {k + 1}, {share}" for k, share in enumerate(shares))
        return Embedding(points, "PCA", (first, second))
    perplexity = min(_PERPLEXITY, (len(wide) - 1) / 3)
    mapper = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=_SEED)
    # Its threads wait for each other after each of a thousand small steps: on a machine that does
    # something else, two took a minute for what one does in a second. One also adds up in one order.
    with threadpool_limits(1):
        points = mapper.fit_transform(wide.astype(np.float32)).astype(np.float64)
    return Embedding(points, "t-SNE", ("t-SNE 1, without unit", "t-SNE 2, without unit"))


def neighbour_agreement(
    features: Float[np.ndarray, "clip channel"], labels: Int[np.ndarray, " clip"]
) -> float:
    """Share of clips whose nearest other clip is of their class (Euclidean, all channels)."""
    wide = features.astype(np.float64)
    squares = np.sum(wide * wide, axis=1)
    distances = squares[:, None] - 2 * wide @ wide.T + squares
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(labels[np.argmin(distances, axis=1)] == labels))


def features_section(comparison: Comparison) -> Markup | None:
    """The networks' features side by side; None if none are there."""
    choice = choose_networks(comparison)
    panels = [_panel(shown, comparison) for shown in choice.networks]
    drawn = [panel for panel in panels if panel is not None]
    if not drawn:
        return None
    clips = choice.networks[0].looks
    present = np.unique(clips.labels[clips.feature_clips])
    return join(
        element(
            "p",
            "The pooled output of each network's last stage, averaged over a clip's frames and put into the "
            "plane: a mark a clip, the same clips in every picture. Only who is near whom means something, "
            "not the axes, and not the distances between groups. Under each picture, how often the nearest "
            "of the other clips is of the same class, measured before the plane, in all channels. ",
            choice.note,
        ),
        element("div", drawn, class_="charts planes"),
        _legend(comparison.class_names, present),
    )


def _panel(shown: Shown, comparison: Comparison) -> Markup | None:
    clips = shown.looks.feature_clips
    labels, features = shown.looks.labels[clips], shown.looks.features
    embedding = embed(features.astype(np.float32))
    if embedding is None:
        return None
    title = f"{shown.label}: {embedding.method} of {len(clips)} {in_words(comparison)}"
    agreement = neighbour_agreement(features.astype(np.float32), labels)
    return element(
        "figure",
        element("figcaption", title),
        element(
            "svg",
            _marks(embedding.points, labels, comparison.class_names),
            _frame(embedding.axes),
            viewBox=f"0 0 {_SIDE + _LEFT:.0f} {_SIDE + _BOTTOM:.0f}",
            width="100%",
            role="img",
            aria_label=title,
            font_size=11.5,
        ),
        element(
            "p",
            f"The nearest clip is of the same class for {agreement:.0%}.",
            class_="small quiet",
        ),
    )


def _frame(axes: tuple[str, str]) -> Markup:
    middle = _SIDE / 2
    return join(
        element(
            "rect", x=_LEFT, y=0.5, width=_SIDE - 0.5, height=_SIDE - 0.5, fill="none",
            stroke="#8c959f",
        ),
        element("text", axes[0], x=_LEFT + middle, y=_SIDE + 15, text_anchor="middle"),
        element(
            "text", axes[1], x=13, y=middle, text_anchor="middle",
            transform=f"rotate(-90 13 {middle})",
        ),
    )  # fmt: skip


def _marks(
    points: Float[np.ndarray, "clip 2"],
    labels: Int[np.ndarray, " clip"],
    class_names: Sequence[str],
) -> list[Markup]:
    low, high = points.min(axis=0), points.max(axis=0)
    room = 10.0
    shares = (points - low) / np.where(high > low, high - low, 1.0)
    x = _LEFT + room + (_SIDE - 2 * room) * shares[:, 0]
    y = _SIDE - room - (_SIDE - 2 * room) * shares[:, 1]
    drawn = []
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        shape, style = _mark(label)
        path = "".join(f"M{x[k]:.1f} {y[k]:.1f}{shape}" for k in own.tolist())
        name = element("title", f"{label + 1} {class_names[label]}")
        drawn.append(element("path", name, d=path, **style))
    return drawn


def _mark(label: int) -> tuple[str, dict[str, str | float]]:
    """Shape and colour of a class: sixty pairs, the second sixty hollow, then again.

    The first ten classes differ in colour, and all neighbours in shape too, for those who see no
    colour.
    """
    turn, colour = divmod(label, len(_COLOURS))
    shape = _SHAPES[(5 * turn + colour) % len(_SHAPES)]
    if label // (len(_COLOURS) * len(_SHAPES)) % 2:
        return shape, {"fill": "#fff", "stroke": _COLOURS[colour], "stroke_width": 1.4}
    return shape, {"fill": _COLOURS[colour], "stroke": "#fff", "stroke_width": 0.5}


def _legend(class_names: Sequence[str], present: Int[np.ndarray, " class"]) -> Markup:
    entries = []
    for label in present.tolist():
        shape, style = _mark(label)
        mark = element("path", d=f"M7 7{shape}", **style)
        drawing = element("svg", mark, viewBox="0 0 14 14", aria_hidden="true")
        entries.append(element("li", drawing, f"{label + 1} {class_names[label]}"))
    return element("ul", entries, class_="legend classes")
