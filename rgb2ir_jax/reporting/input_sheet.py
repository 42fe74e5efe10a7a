"""What the networks are given in training, to be looked at before hours are spent on it."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from rgb2ir_jax.reporting.picture_sheet import Block, as_colour, picture_sheet

_MOST_FRAMES = 4
_CAPTION = (
    "The first clips of the first training batch as they go to the devices: cut out, scaled, perhaps "
    "mirrored, and lit otherwise where the config says so; 8 bits, before the normalisation."
)


def input_sheet(
    seen: Mapping[str, UInt8[np.ndarray, "clip time side side channel"]],
    names: Sequence[str],
    *,
    title: str,
    caption: str = _CAPTION,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws training clips as they are copied to the devices, a row a clip.

    Args:
        seen: the same clips as each network sees them, by what to write above: at least one.
        names: what to write beside each clip, such as its class.
        title: above all.
        caption: below the title.

    Returns:
        RGB pixels. Of clips of more than four frames, four are shown.
    """
    blocks = []
    for heading, clips in seen.items():
        time = clips.shape[1]
        shown = np.unique(np.linspace(0, time - 1, min(time, _MOST_FRAMES)).round().astype(int))
        columns = [f"segment {place + 1} of {time}" for place in shown.tolist()]
        blocks.append(Block(heading, columns, as_colour(clips[:, shown])))
    return picture_sheet(blocks, names, title=title, caption=caption)
