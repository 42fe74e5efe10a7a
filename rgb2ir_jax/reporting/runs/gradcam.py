"""Where networks look: frames of test clips and Grad-CAM over them, networks beside each other."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.reporting.page import Markup, data_uri, element, join
from rgb2ir_jax.reporting.runs.groups import Comparison
from rgb2ir_jax.reporting.runs.look_file import Looks
from rgb2ir_jax.reporting.runs.looks import Choice, Shown, choose_networks, in_words
from rgb2ir_jax.reporting.runs.record import text
from rgb2ir_jax.video.jpeg import decode_jpeg, encode_jpeg
from rgb2ir_jax.video.modalities import name_of

STYLE = """
.looked { max-width: none; margin: 0 0 1.75rem; }
.looked > .small { margin: -.25rem 0 .35rem; }
.networks { display: flex; flex-wrap: wrap; align-items: flex-end; gap: .6rem 1.25rem; }
.network { width: max(10.4rem, var(--frames) * 5.4rem); max-width: 100%; }
.network p { margin: 0 0 .15rem; line-height: 1.3; }
.seen { display: grid; grid-template-columns: repeat(var(--frames), 1fr); gap: 3px; }
.seen img { width: 100%; height: auto; display: block; background: #eef1f4; }
.scale svg { vertical-align: middle; margin: 0 .4em; display: inline-block; }
@media (max-width: 40rem) { .networks { gap: .6rem; } .network { max-width: calc(50% - .3rem); }
  .network.long, .network.plain:first-child { width: 100%; max-width: none; }
  .network.plain:first-child:not(.long) .seen { width: calc(50% - .3rem); } }
@media print { .network { width: max(34mm, var(--frames) * 17mm); } .looked { break-inside: avoid; } }
"""

_MOST_CLIPS, _MOST_FRAMES = 6, 4
_HEAT, _QUALITY = 0.6, 80


def gradcam_section(comparison: Comparison) -> Markup | None:
    """Strips of a few clips, chosen by class alone; None if no network's view is there."""
    choice = choose_networks(comparison)
    if not choice.networks:
        return None
    first = choice.networks[0].looks
    clips = first.examples[:_MOST_CLIPS]
    by_class = clips[np.argsort(first.labels[clips], kind="stable")]
    strips = [_clip(choice, clip, comparison) for clip in by_class.tolist()]
    height, width = first.evidence.shape[-2:]
    return join(
        element(
            "p",
            "What each network sees, and over it how much each place speaks for the clip's true class in the "
            f"network's last stage, of {height} x {width} places (Grad-CAM: Selvaraju et al., 2017). "
            "Clips were chosen by their class, whatever the networks say of them. ",
            choice.note,
        ),
        heat_scale("of the greatest value in the clip, each network on a scale of its own"),
        strips,
    )


def heat_scale(meaning: str) -> Markup:
    """What the colours of Grad-CAM mean."""
    steps = np.linspace(0, 255, 12).astype(np.uint8)
    colours = cv2.applyColorMap(steps[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1].tolist()
    bars = [
        element("rect", x=9 * k, width=9.5, height=11, fill=f"rgb({r},{g},{b})")
        for k, (r, g, b) in enumerate(colours)
    ]
    drawing = element("svg", bars, width=108, height=11, aria_hidden="true")
    return element("p", "0%", drawing, f"100% {meaning}", class_="small scale")


def _clip(choice: Choice, clip: int, comparison: Comparison) -> Markup:
    label = int(choice.networks[0].looks.labels[clip])
    rows: list[Markup] = []
    seen: list[list[bytes]] = []
    for shown in choice.networks:
        if clip not in shown.looks.examples:
            continue
        row = shown.looks.row(clip)
        frames = list(shown.looks.frames[row][:_MOST_FRAMES])
        # Students of one modality see the same.
        if frames not in seen:
            seen.append(frames)
            rows.append(_frames(shown.looks, frames))
        if shown.looks.enhanced:
            frames = list(shown.looks.enhanced[row][:_MOST_FRAMES])
            if frames not in seen:
                seen.append(frames)
                rows.append(_enhanced(shown.looks, frames))
        rows.append(_overlaid(shown, clip, label, frames, comparison.class_names))
    name = sample_name(choice.networks[0].looks, clip)
    return element(
        "figure",
        element("figcaption", comparison.class_names[label]),
        element("p", f"{name}, one of the {in_words(comparison)}", class_="small quiet"),
        element("div", rows, class_="networks"),
        class_="looked",
    )


def sample_name(looks: Looks, clip: int) -> str:
    """What the records call a clip that is shown; its number where they do not tell."""
    told, row = looks.facts.get("sample_ids"), looks.row(clip)
    if isinstance(told, list) and row < len(told) and told[row]:
        return text(told[row], 40)
    return f"clip {clip}"


def _frames(looks: Looks, frames: Sequence[bytes]) -> Markup:
    times, segments = looks.facts.get("times"), looks.facts.get("segments")
    what = f"{text(name_of(str(looks.facts.get('modality'))), 20)} frames"
    if isinstance(times, list) and isinstance(segments, int):
        told = [str(t + 1) for t in times[: len(frames)] if isinstance(t, int)]
        what += f", segments {', '.join(told)} of {segments}"
    heading = element("p", what, class_="small quiet")
    return _network(heading, [picture(frame, what) for frame in frames], "plain")


def _enhanced(looks: Looks, frames: Sequence[bytes]) -> Markup:
    what = f"the same, enhanced by {text(looks.facts.get('enhance') or 'what is not told', 30)}"
    heading = element("p", what, class_="small quiet")
    return _network(heading, [picture(frame, what) for frame in frames], "plain")


def _network(heading: Markup, pictures: Sequence[Markup], kind: str = "") -> Markup:
    return element(
        "div",
        heading,
        element("div", pictures, class_="seen"),
        class_=f"network {kind}{' long' if len(pictures) > 2 else ''}",
        style=f"--frames: {len(pictures)}",
    )


def _overlaid(
    shown: Shown, clip: int, label: int, frames: Sequence[bytes], class_names: Sequence[str]
) -> Markup:
    looks = shown.looks
    probabilities = looks.probabilities(clip)
    named = int(np.argmax(probabilities))
    verdict = f"names {class_names[named]}, {probabilities[named]:.0%}"
    if named == label:
        verdict = f"right, {probabilities[named]:.0%}"
    else:
        verdict += f" (true class {probabilities[label]:.0%})"
    evidence = looks.evidence[looks.row(clip), 0]
    if not evidence.any():
        verdict += "; no place speaks for it"
    pictures = [overlay(jpeg, heat) for jpeg, heat in zip(frames, evidence, strict=False)]
    said = f"Grad-CAM of {shown.label} for {class_names[label]}"
    heading = element("p", element("strong", shown.label), f": {verdict}", class_="small")
    return _network(heading, [picture(jpeg, said) for jpeg in pictures])


def picture(jpeg: bytes, alt: str) -> Markup:
    """A JPEG within the page."""
    return element("img", src=data_uri(jpeg), alt=alt, title=alt, loading="lazy")


def overlay(jpeg: bytes, evidence: UInt8[np.ndarray, "height width"]) -> bytes:
    """A frame in grey under its Grad-CAM in colour, as JPEG.

    Args:
        jpeg: the frame.
        evidence: 0 to 255, stretched over the whole frame.
    """
    grey = decode_jpeg(jpeg, 1).astype(np.float32)
    side = (grey.shape[1], grey.shape[0])
    large = cv2.resize(evidence, side, interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap(large, cv2.COLORMAP_INFERNO)[..., ::-1]
    mixed = (1 - _HEAT) * grey + _HEAT * heat
    return encode_jpeg(np.rint(mixed).astype(np.uint8), _QUALITY)
