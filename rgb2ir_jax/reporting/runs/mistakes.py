"""The test clips that networks named wrong and were surest of, with their frames."""

from collections.abc import Sequence

import numpy as np

from rgb2ir_jax.reporting.page import Markup, element, join
from rgb2ir_jax.reporting.runs.gradcam import heat_scale, overlay, picture, sample_name
from rgb2ir_jax.reporting.runs.groups import Comparison
from rgb2ir_jax.reporting.runs.looks import Shown, choose_networks, in_words

STYLE = """
.mistakes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 46%), 1fr)); gap: 1rem;
  align-items: end;
  margin: .5rem 0 1.5rem; }
.mistakes .seen { margin-bottom: .2rem; --frames: 2; }
.mistakes .small { margin: 0; line-height: 1.35; font-size: .75rem; }
.mistakes figcaption { font-weight: 400; font-size: .85rem; line-height: 1.35; }
@media print { .mistakes { grid-template-columns: repeat(4, 1fr); } }
"""

_MOST = 8


def mistakes_section(comparison: Comparison) -> Markup | None:
    """The surest mistakes of each student that is shown; None if no network's view is there."""
    choice = choose_networks(comparison)
    networks = choice.students or choice.networks
    if not networks:
        return None
    return join(
        element(
            "p",
            "The clips that a network named wrong with the highest probability (softmax). Of each, the frame "
            "that speaks most for the wrong class, and over it the Grad-CAM for that class. The networks are "
            "the students of the pictures above.",
        ),
        heat_scale("of the greatest value in the clip"),
        [_mistakes(shown, comparison) for shown in networks],
    )


def _mistakes(shown: Shown, comparison: Comparison) -> Markup:
    looks = shown.looks
    wrong = int(np.sum(np.argmax(looks.logits, axis=1) != looks.labels))
    clips = looks.mistakes[:_MOST].tolist()
    heading = element(
        "h3", f"{shown.label}: {wrong:,} of {len(looks.labels):,} {in_words(comparison)} wrong"
    )
    if not clips:
        return join(heading, element("p", "No test clip was named wrong."))
    cards = [_card(shown, clip, comparison.class_names) for clip in clips]
    return join(heading, element("div", cards, class_="mistakes"))


def _card(shown: Shown, clip: int, class_names: Sequence[str]) -> Markup:
    looks, row = shown.looks, shown.looks.row(clip)
    probabilities = looks.probabilities(clip)
    label, named = int(looks.labels[clip]), int(np.argmax(probabilities))
    evidence = looks.evidence[row, 1]
    time = int(np.argmax(evidence.mean(axis=(1, 2))))
    frame = looks.frames[row][time]
    heat = overlay(frame, evidence[time])
    return element(
        "figure",
        element(
            "figcaption",
            element("strong", class_names[label]),
            " was named ",
            element("strong", class_names[named]),
            f": {probabilities[named]:.0%}, true class {probabilities[label]:.0%}",
        ),
        element(
            "div",
            picture(frame, f"frame of {class_names[label]}"),
            picture(heat, f"Grad-CAM for {class_names[named]}"),
            class_="seen",
        ),
        element("p", sample_name(looks, clip), class_="small quiet"),
    )
