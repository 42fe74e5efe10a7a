"""Dark-48, actions in the dark: TFDS builder for the stock `tfds build` command."""

import re
from pathlib import Path
from typing import Any

import tensorflow_datasets.public_api as tfds

try:
    from data_builders.dark48.classes import classes_of, read_class_index
    from data_builders.dark_video.builder import NEEDED_SPLITS, DarkVideoBuilder, whole_set
    from data_builders.dark_video.footage import Footage, find_footage
    from data_builders.dark_video.lists import VideoList, keep_apart, read_copies
    from data_builders.recording.builder import Plan, RecordingConfig
    from data_builders.recording.report import FootageError
    from rgb2ir_jax.video.source import VideoSource
except ModuleNotFoundError as error:
    # As an ImportError, the tfds command would swallow it and report something else.
    raise RuntimeError(
        f"The builder needs the packages rgb2ir_jax and data_builders ({error}). Install them into "
        "the environment of the tfds command: `make install`, or `pip install -e .`, in the "
        "root of the repository."
    ) from error

_VIDEOS = 8815
# In this order, as "train_labels.txt" is no class index; "latest" is no test.
_ROLES = {
    role: re.compile(rf"(?<![a-z]){word}", re.IGNORECASE)
    for role, word in (
        ("train", "train"),
        ("test", "test"),
        ("val", "val"),
        ("classes", "(class|label)"),
    )
}


def _role(name: str) -> str | None:
    """What a text file's name says it is."""
    return next((role for role, pattern in _ROLES.items() if pattern.search(name)), None)


class Builder(DarkVideoBuilder):
    """Builds JPEG sequences from videos in class folders, as a train and a test list name them."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's own declaration
    BUILDER_CONFIGS = [  # noqa: RUF012
        RecordingConfig(name="default", description="The clips that the lists name.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Ask the owners of Dark-48 (Tu et al., DTCM, IEEE Transactions on Image Processing, 2023) for the set, and
put it below the folder given as --manual_dir, zip archives as they are. How it is laid out is not
published; expected are videos in folders of their classes and two text files, one with "train" and one
with "test" (or "val") in its name, of lines such as
  Run/clip_7.mp4 3
or "Run/clip_7.mp4 120 3" (path, number of frames, label), or "0 3 Run/clip_7.mp4" (index, label, path).
A text file with "class" or "label" in its name, "0 Run" or "Run" a line, names the classes; without it
their folders do.
"""

    def class_names(self) -> None:
        """Returns None: the class index or the folders name the classes."""
        return

    def extra_features(self) -> dict[str, Any]:
        """Returns nothing: the owners tell no more of a clip than its class."""
        return {}

    def plan(self, manual_dir: Path) -> Plan:
        """Reads the lists and the class index, and looks for the videos.

        Raises:
            FootageError: a list is missing or broken, the classes are not 48, or a split would be
                empty.
            TooManyBadClipsError: more of the listed videos than allowed are missing.
        """
        footage = find_footage(manual_dir)
        texts: dict[str, list[VideoSource]] = {}
        for text in footage.texts:
            if role := _role(text.name):
                texts.setdefault(role, []).append(text)
        lists = _lists(texts, footage)
        taken_out = keep_apart(lists)
        indices = [read_class_index(source) for source in texts.get("classes", [])]
        if len({(index.names, index.first) for index in indices}) > 1:
            raise FootageError(
                f"The class indices {' and '.join(str(index.source) for index in indices)} disagree. "
                "Leave one of them below --manual_dir."
            )
        classes = classes_of(lists, indices[0] if indices else None)
        self.info.features["label"].names = list(classes.names)
        return self.plan_of_lists(
            footage,
            {split: listed for split, listed in lists.items() if listed.rows},
            lambda row: {"label": classes.label_of(row)},
            {
                "whole_set": whole_set(lists, _VIDEOS),
                "classes_named_by": str(indices[0].source) if indices else "their folders",
                "taken_out,_as_train_or_test_has_them": taken_out,
            },
        )


def _lists(texts: dict[str, list[VideoSource]], footage: Footage) -> dict[str, VideoList]:
    sources = {split: texts[split] for split in ("train", "test", "val") if split in texts}
    if "test" not in sources and "val" in sources:
        # The paper has two parts; such sets call the second one either way.
        sources["test"] = sources.pop("val")
    absent = [split for split in NEEDED_SPLITS if split not in sources]
    if absent:
        there = sorted({text.name for text in footage.texts})
        raise FootageError(
            f"No list for {' and none for '.join(absent)} was found.\n"
            f"  searched: {footage.search.describe()}\n"
            "  expected: text files with 'train' and with 'test' (or 'val') in their names, of lines "
            "such as 'Run/clip_7.mp4 3'\n"
            f"  found:    {', '.join(there[:10]) or 'no text file'}{', ...' * (len(there) > 10)}\n"
            "  to do:    put the owners' lists below --manual_dir; with lists of your own, "
            "data_builders/paired_video builds any videos"
        )
    return {
        split: read_copies(alike, "Leave one of them below --manual_dir.")
        for split, alike in sources.items()
    }
