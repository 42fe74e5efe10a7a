"""Training batches without pixels: where each frame lies among the cached ones, and what is cut out.

What cuts them on the devices is `training.resident`.
"""

from collections.abc import Sequence

import numpy as np
from ml_collections import FrozenConfigDict

from rgb2ir_jax.data.augmentation import Augmentation, Draw
from rgb2ir_jax.data.batches import Batch, Selection, chosen_frames
from rgb2ir_jax.data.frame_cache import CachedClips
from rgb2ir_jax.data.transforms import View, crop_box


def crop_sides(scales: Sequence[float], height: int, width: int) -> tuple[int, ...]:
    """Returns the side in pixels of the crops of a picture, for each scale."""
    return tuple(crop_box(View(scale, 0, 0, False), height, width).side for scale in scales)


class ChoiceLoader:
    """Decides what `BatchLoader` would cut out of the frames of a training batch, and leaves it at that.

    Args:
        source: The cache of the split; each modality has frames of one size.
        data: The checked `config.data`.
        modalities: Which of them.
        seed: The run's seed.
    """

    def __init__(
        self,
        source: CachedClips,
        data: FrozenConfigDict,
        modalities: tuple[str, ...],
        seed: int,
    ):
        self._source, self._seed = source, seed
        self._augmentation = Augmentation.from_config(data)
        self._files = {modality: source.file(modality) for modality in modalities}
        self._sizes = {m: file.together().shape[1:3] for m, file in self._files.items()}

    def __call__(self, selection: Selection) -> Batch:
        """Returns int32 arrays, of B clips and T frames, beside float32 `mask` (B,), all ones.

        These are `label`, `index` (B,), `view` (B,2): number of the scale, whether to flip, and for each
        modality M: `M_frames` (B,T): among all of the split, `M_corner` (B,2): the crop's top and left.
        """
        clips = selection.indices
        return self.describe(
            clips, [self._augmentation.draw(self._seed, selection.epoch, clip) for clip in clips]
        )

    def describe(self, clips: Sequence[int], draws: Sequence[Draw]) -> Batch:
        """Returns the same of any clips, by their indices and what was drawn for each."""
        records = [self._source[clip] for clip in clips]
        scales = self._augmentation.scales
        batch: Batch = {
            "label": np.array([record["label"] for record in records], np.int32),
            "mask": np.ones(len(clips), np.float32),
            "index": np.asarray(clips, np.int32),
            "view": np.array(
                [(scales.index(draw.view.scale), draw.view.flip) for draw in draws], np.int32
            ),
        }
        modalities = self._source.modalities
        for modality, file in self._files.items():
            frames, corners = [], []
            for clip, record, draw in zip(clips, records, draws, strict=True):
                shortest = min(len(record[name]) for name in self._files)
                chosen = chosen_frames(record, modality, draw.choose, modalities, shortest)
                frames.append(file.first(clip) + chosen)
                corners.append(crop_box(draw.view, *self._sizes[modality])[:2])
            batch[f"{modality}_frames"] = np.array(frames, np.int32)
            batch[f"{modality}_corner"] = np.array(corners, np.int32)
        return batch
