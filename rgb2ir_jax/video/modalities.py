"""What the footage of the data sets shows: the names that are known, and what they mean."""

CHANNELS = {"rgb": 3, "ir": 1, "depth": 1, "flow": 3}
"""The modalities that a builder's task may have, in their order, and the channels of what is stored
of each. Records of other builders may show any others."""

_NAMES = {"rgb": "RGB", "ir": "infrared"}


def name_of(modality: str) -> str:
    """What a modality is called in a sentence: "RGB", "infrared"; others by their own name."""
    return _NAMES.get(modality, modality)
