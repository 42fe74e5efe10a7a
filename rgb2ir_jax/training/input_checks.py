"""What networks are to see, looked at before any work: modalities of the records, enhancements."""

import logging
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from rgb2ir_jax.data.source import DatasetDescription, check_modalities
from rgb2ir_jax.models.network import NetworkSpec
from rgb2ir_jax.training.checkpoints import NETWORK_FILE

_log = logging.getLogger(__name__)


def check_sight(
    specs: Mapping[str, NetworkSpec], data_set: DatasetDescription, data: ConfigDict
) -> None:
    """Raises ValueError unless the records hold what each network sees, in channels that it takes.

    Args:
        specs: the networks, by what to call them.
        data_set: the records.
        data: `config.data`, for the message.
    """
    held = data_set.modalities
    for name, spec in specs.items():
        check_modalities([spec.modality], held, data)
        if spec.is_video_network and data.get("sampling", "segments") != "dense":
            _log.warning(
                "the %s is a %s, which is made for frames in a row, and sees one of each segment: "
                "config.data.sampling='dense' reads such clips",
                name,
                spec.title,
            )
        if spec.enhancement is not None and held[spec.modality] not in (1, 3):
            raise ValueError(
                f"the {name} enhances {spec.modality} frames of {held[spec.modality]} channels; expected "
                "frames of one or three"
            )
        if spec.stream is not None and spec.stream.name == "flow":
            if held[spec.modality] not in (1, 3):
                raise ValueError(
                    f"the {name} sees optical flow of {spec.modality} frames, which have "
                    f"{held[spec.modality]} channels; expected frames of one or three"
                )
        elif held[spec.modality] not in (1, spec.frame_channels):
            raise ValueError(
                f"the {name} takes frames of {spec.frame_channels} channels (in_channels), and the "
                f"{spec.modality} frames of {data.name}/{data.config} have {held[spec.modality]}; expected as "
                "many, or one"
            )


def check_enhancement(name: str, spec: NetworkSpec, folder: Path) -> None:
    """Raises ValueError unless a network's enhancement can be had: recorded with the run, or from its file.

    Args:
        name: "teacher" or "student".
        spec: of the network, as the config has it.
        folder: of its phase.
    """
    if spec.enhancement is None:
        return
    try:
        if (folder / NETWORK_FILE).is_file():
            NetworkSpec.load(folder / NETWORK_FILE)
            spec.enhancement.check_unchanged(folder / NETWORK_FILE)
        else:
            _ = spec.enhancement.tensors
    except ValueError as error:
        raise ValueError(f"config.{name}.enhance: {error}") from error
