"""ARID, actions in the dark: TFDS builder for the stock `tfds build` command."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets.public_api as tfds

try:
    from data_builders.arid.protocol import (
        CLASS_NAMES,
        SPLITS,
        check_labels,
        group_of,
        rank_of,
        release_named,
        shared_groups,
    )
    from data_builders.dark_video.builder import NEEDED_SPLITS, DarkVideoBuilder, whole_set
    from data_builders.dark_video.footage import Footage, find_footage
    from data_builders.dark_video.lists import VideoList, keep_apart, read_copies
    from data_builders.recording.builder import Plan, RecordingConfig
    from data_builders.recording.report import FootageError
except ModuleNotFoundError as error:
    # As an ImportError, the tfds command would swallow it and report something else.
    raise RuntimeError(
        f"The builder needs the packages rgb2ir_jax and data_builders ({error}). Install them into "
        "the environment of the tfds command: `make install`, or `pip install -e .`, in the "
        "root of the repository."
    ) from error


@dataclasses.dataclass
class AridConfig(RecordingConfig):
    """Which release and which of its official splits.

    Attributes:
        release: "v1" or "v1_5".
        split: 1, 2 or 3 in v1; 0 or 1 in v1_5.
    """

    release: str = "v1"
    split: int = 1

    def __post_init__(self) -> None:
        """Checks that the release has such a split."""
        super().__post_init__()
        release = release_named(self.release)
        if self.split not in release.splits:
            raise ValueError(
                f"split is {self.split!r}; {release.title} has {', '.join(map(str, release.splits))}"
            )


def _config(release: str, split: int) -> AridConfig:
    return AridConfig(
        name=f"{release}_split{split}",
        description=f"{release_named(release).title}, official split {split}.",
        release=release,
        split=split,
    )


class Builder(DarkVideoBuilder):
    """Builds JPEG sequences from the owners' videos, as one of their splits lists them."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}  # noqa: RUF012 - TFDS's own declaration
    BUILDER_CONFIGS = [  # noqa: RUF012
        _config("v1", 1),
        _config("v1", 2),
        _config("v1", 3),
        _config("v1_5", 0),
        _config("v1_5", 1),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "v1_split1"
    HOMEPAGE = "https://xuyu0010.github.io/arid.html"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
Request ARID from its owners (https://xuyu0010.github.io/arid.html) and put the archives, or what they
hold, anywhere below the folder given as --manual_dir: videos in folders of their classes
(clips_v1/Drink/Drink_10_1.avi, clips_v1.5/Drink/Drink_10_1.mp4) and the lists of the splits
(list_cvt/ARID_split1_train.txt; of v1.5 list_cvt/split_0/split0_train.txt). The lists of v1 are also in
the owners' repository, https://github.com/xuyu0010/ARID_v1. Zip archives need not be unpacked.
Synthetic footage of the same layout comes from
  python -m rgb2ir_jax.synthesize --layout=arid --out=DIR --clips=200
"""

    def class_names(self) -> Sequence[str]:
        """Returns the owners' classes."""
        return CLASS_NAMES

    def extra_features(self) -> dict[str, Any]:
        """Returns the number in a video's name."""
        return {"group": np.int32}

    def plan(self, manual_dir: Path) -> Plan:
        """Reads the split's lists and looks for their videos.

        Raises:
            FootageError: a list is missing or broken, or a split would be empty.
            TooManyBadClipsError: more of the listed videos than allowed are missing.
        """
        config = self.builder_config
        release = release_named(config.release)
        footage = find_footage(manual_dir)
        lists = self._lists(footage)
        for listed in lists.values():
            check_labels(listed)
        taken_out = keep_apart(lists)
        used = {split: listed for split, listed in lists.items() if listed.rows}
        return self.plan_of_lists(
            footage,
            used,
            lambda row: {"label": row.label, "group": group_of(row)},
            {
                "whole_set": whole_set(used, release.videos),
                "splits_left_out_(none_of_their_videos_is_listed)": [
                    split for split in SPLITS if split not in used
                ],
                "taken_out,_as_train_or_test_has_them": taken_out,
                "groups_both_in_train_and_test": shared_groups(lists),
            },
            functools.partial(rank_of, release=config.release),
        )

    def _lists(self, footage: Footage) -> dict[str, VideoList]:
        config = self.builder_config
        release = release_named(config.release)
        copies = {
            part: [text for text in footage.texts if pattern.fullmatch(text.name)]
            for part in SPLITS
            for pattern in [release.list_pattern(config.split, part)]
        }
        names = {
            part: release.list_name.format(split=config.split, part=part) for part in NEEDED_SPLITS
        }
        absent = [names[part] for part in NEEDED_SPLITS if not copies[part]]
        if absent:
            there = sorted({text.name for text in footage.texts})
            raise FootageError(
                f"The official split {config.split} of {release.title} needs the lists "
                f"{' and '.join(names.values())}; not found: {' and '.join(absent)}.\n"
                f"  searched: {footage.search.describe()}\n"
                f"  found:    {', '.join(there[:10]) or 'no list'}{', ...' * (len(there) > 10)}\n"
                "  to do:    put the owners' folder list_cvt beside the videos, below --manual_dir, or "
                "build another config"
            )
        return {
            part: read_copies(
                sources,
                "Leave the owners' one for this release below --manual_dir.",
                may_be_empty=part not in NEEDED_SPLITS,
            )
            for part, sources in copies.items()
            if sources
        }
