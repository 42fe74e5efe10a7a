"""Sample strips as part of a page, within a budget of bytes."""

import statistics as stats
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from rgb2ir_jax.data.sampling import Sampling
from rgb2ir_jax.data.transforms import resize
from rgb2ir_jax.reporting.data_sets.samples import Box, ClassSample, Strip
from rgb2ir_jax.reporting.data_sets.statistics import DataStatistics, spread
from rgb2ir_jax.reporting.page import BLUE, ORANGE, Markup, data_uri, element, join
from rgb2ir_jax.video.jpeg import encode_jpeg
from rgb2ir_jax.video.modalities import name_of

# Bytes that the pictures should take, in base64, and that they may take.
BUDGET, LIMIT = 10_000_000, 13_000_000
MOST_FRAMES = 16
_QUALITY = 82
# Bytes a pixel of a busy picture at this quality, in base64; and what any JPEG costs.
_BYTES_A_PIXEL, _BYTES_A_PICTURE = 0.4, 1000
_SMALLEST = 64

STYLE = """
.sample { margin: 0 0 1.4rem; break-inside: avoid; }
.sample h3 { margin-top: 0; }
.strip { display: flex; flex-wrap: wrap; gap: 3px; align-items: flex-start; margin-bottom: .15rem; --side: 6.4rem; }
.strip img, .strip svg { height: var(--side); width: auto; display: block; background: #eef1f4; }
.strip .gap { width: .6rem; }
.sample .small { margin: 0 0 .35rem; max-width: none; }
@media (max-width: 40rem) { .strip { --side: calc((100vw - 1.8rem - 9px) / 4); } .strip .gap { width: 100%; }
  .strip svg { max-width: none; } }
@media print { .strip { --side: 17mm; } .strip .gap { width: 2mm; } }
"""


def picture_side(pictures: int, crop: int) -> int:
    """The side at which so many square pictures fit into the budget, `crop` at most."""
    pixels = (BUDGET / max(1, pictures) - _BYTES_A_PICTURE) / _BYTES_A_PIXEL
    return int(min(crop, max(_SMALLEST, np.sqrt(max(pixels, 0)))))


def sample_section(
    samples: Iterable[ClassSample],
    statistics: DataStatistics,
    data: ConfigDict,
    expected: int,
    seed: int,
) -> Markup:
    """Draws the strips of all samples, as long as they fit.

    Args:
        samples: One a class; taken one after the other, so that none but the present is in memory.
        statistics: For what is told of each class.
        data: `config.data`.
        expected: Number of samples, which settles their pictures' size.
        seed: Of the samples and their training views, for the text.

    Returns:
        The body of the section.
    """
    frames = min(MOST_FRAMES, data.segments)
    # The whole picture is wider than it is high: it counts for two.
    side = picture_side(expected * len(statistics.modalities) * (frames + 3), data.crop)
    drawn: list[Markup] = []
    used, left_out = 0, 0
    for sample in samples:
        drawing = _sample(sample, statistics, side)
        if used + len(drawing) > LIMIT:
            left_out += 1
            continue
        used += len(drawing)
        drawn.append(drawing)
    omitted = (
        element("p", f"{left_out} more classes are left out, for the page's size.")
        if left_out
        else None
    )
    return join(_explanation(data, frames, seed, statistics.modalities), drawn, omitted)


def _explanation(data: ConfigDict, frames: int, seed: int, modalities: Sequence[str]) -> Markup:
    of = {1: f"{name_of(modalities[0])} alone", 2: "both modalities"}.get(
        len(modalities), "all modalities"
    )
    some = f" ({frames} of them are drawn)" if frames < data.segments else ""
    return join(
        element(
            "p",
            f"One clip a class, {of}. First what testing shows to the networks: "
            f"{Sampling.from_config(data)}{some}, scaled to a short side of {data.resize} and cut "
            f"to {data.crop} x {data.crop} pixels. Then a whole frame as it is stored, with the parts that are "
            "cut out of it, and at last what training makes of that frame in the first epoch of a run with "
            f"seed {seed}: cut, scaled, perhaps mirrored, and lit otherwise where the config says so.",
        ),
        element(
            "ul",
            [
                element(
                    "li",
                    element(
                        "svg",
                        element(
                            "rect",
                            x=2,
                            y=2,
                            width=20,
                            height=10,
                            fill="none",
                            stroke=colour,
                            stroke_width=3,
                            stroke_dasharray=dashes,
                        ),
                        width=24,
                        height=14,
                        aria_hidden="true",
                    ),
                    text,
                )
                for colour, dashes, text in (
                    (BLUE, None, "cut out in testing"),
                    (ORANGE, "4 2", "cut out in training"),
                )
            ],
            class_="legend",
        ),
    )


def _sample(sample: ClassSample, statistics: DataStatistics, side: int) -> Markup:
    clip = sample.clip
    counts = statistics.class_counts[:, clip.label].tolist()
    lengths = [
        seconds
        for other in statistics.clips_of_class[clip.label]
        if (seconds := other.videos[statistics.modalities[-1]].seconds) is not None
    ]
    told = [f"{n:,} {s}" for s, n in zip(statistics.splits, counts, strict=True)]
    if lengths:
        told.append(
            f"{min(lengths):.2g} to {max(lengths):.2g} s, median {stats.median(lengths):.2g} s"
        )
    where = [f"{name} {value}" for name, value in clip.fields.items() if value != ""]
    return element(
        "article",
        element("h3", statistics.class_names[clip.label]),
        element("p", "; ".join(told), class_="quiet small"),
        [_strip(sample, modality, side) for modality in sample.strips],
        element(
            "p",
            ", ".join([f"Clip {clip.sample_id} ({clip.split})", *where]),
            class_="quiet small",
        ),
        class_="sample",
    )


def _strip(sample: ClassSample, modality: str, side: int) -> Markup:
    strip, video = sample.strips[modality], sample.clip.videos[modality]
    places = spread(len(strip.test), MOST_FRAMES)
    numbers = [int(strip.shown[place]) for place in places]
    name = name_of(modality)
    length = f", {video.seconds:.2g} s" if video.seconds else ""
    mirrored = ", mirrored" if sample.flip else ""
    return join(
        element(
            "div",
            [
                _square(strip.test[place], side, f"{name}, frame {number}")
                for place, number in zip(places, numbers, strict=True)
            ],
            element("span", class_="gap"),
            _whole(strip, side, f"{name}, frame {strip.full_index}, whole"),
            _square(strip.train, side, f"{name}, frame {strip.full_index}, as in training"),
            class_="strip",
        ),
        [_enhanced(strip, by, places, side, name) for by in strip.enhanced],
        element(
            "p",
            f"{name}: {video.frames} frames{length}; tested on {', '.join(map(str, numbers))}; training view of "
            f"{strip.full_index}{mirrored}",
            class_="small",
        ),
    )


def _enhanced(strip: Strip, by: str, places: Sequence[int], side: int, name: str) -> Markup:
    """The test frames once more below themselves, as a network with an enhancement would see them."""
    pictures = strip.enhanced[by]
    return join(
        element("p", f"{name}, enhanced by {by}:", class_="small"),
        element(
            "div",
            [
                _square(
                    pictures[place], side, f"{name}, frame {strip.shown[place]}, enhanced by {by}"
                )
                for place in places
            ],
            class_="strip",
        ),
    )


def _square(picture: UInt8[np.ndarray, "s s c"], side: int, alt: str) -> Markup:
    shown = min(side, picture.shape[0])
    jpeg = encode_jpeg(resize(picture, shown, shown), _QUALITY)
    return element(
        "img", src=data_uri(jpeg), alt=alt, title=alt, width=shown, height=shown, loading="lazy"
    )


def _whole(strip: Strip, side: int, alt: str) -> Markup:
    height, width = strip.full.shape[:2]
    scale = min(1.0, side / height)
    small = resize(strip.full, max(1, round(height * scale)), max(1, round(width * scale)))
    thickness = max(1.0, height / 45)

    def rectangle(box: Box, colour: str, inset: float, dashes: str | None) -> Markup:
        half = thickness / 2 + inset
        shape = {
            "x": f"{box.left + half:.2f}",
            "y": f"{box.top + half:.2f}",
            "width": f"{max(1.0, box.side - 2 * half):.2f}",
            "height": f"{max(1.0, box.side - 2 * half):.2f}",
            "fill": "none",
        }
        # A white line below keeps the colour visible on any picture.
        return join(
            element("rect", **shape, stroke="#fff", stroke_width=f"{1.8 * thickness:.2f}"),
            element(
                "rect",
                **shape,
                stroke=colour,
                stroke_width=f"{thickness:.2f}",
                stroke_dasharray=dashes,
            ),
        )

    return element(
        "svg",
        element("title", alt),
        element("image", href=data_uri(encode_jpeg(small, _QUALITY)), width=width, height=height),
        rectangle(strip.test_box, BLUE, 0.0, None),
        rectangle(
            strip.train_box, ORANGE, 0.6 * thickness, f"{4 * thickness:.1f} {2 * thickness:.1f}"
        ),
        viewBox=f"0 0 {width} {height}",
        role="img",
    )
