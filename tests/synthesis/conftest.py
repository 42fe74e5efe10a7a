"""What the tests of the synthetic world share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from rgb2ir_jax.synthesis.motion import Performance
from rgb2ir_jax.synthesis.script import Script
from rgb2ir_jax.synthesize import main


def _same_film(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()


@pytest.fixture
def same_film() -> Callable[[Path, Path], bool]:
    """Whether two video files are the same, byte for byte."""
    return _same_film


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


@pytest.fixture(scope="session")
def decode() -> Callable[[Path], np.ndarray]:
    """All frames of a video file, (frame, height, width, 3)."""
    return _decode


def _h264_pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert container.format.name == "avi"
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 30
        size = stream.height, stream.width
    pictures = _decode(path)
    assert pictures.shape[1:] == (*size, 3)
    return pictures


@pytest.fixture(scope="session")
def h264_pictures() -> Callable[[Path], np.ndarray]:
    """All frames of a video file as `decode` gives them, once it is seen to be of the kind all footage is."""
    return _h264_pictures


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """What the command says to arguments that it must not accept, ending with code two."""

    def refuse(arguments: list[str]) -> str:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        return capsys.readouterr().err

    return refuse


def _check_limbs(script: Script, played: Performance) -> None:
    for arm in played.arms.values():
        upper = np.linalg.norm(arm.middle - arm.start, axis=1)
        np.testing.assert_allclose(upper, script.body.upper_arm, atol=1e-9)
    for leg in played.legs.values():
        shin = np.linalg.norm(leg.end - leg.middle, axis=1)
        np.testing.assert_allclose(shin, script.body.shin, atol=1e-9)
    for position in [a.grip for a in played.arms.values()] + [p for _, p in played.things]:
        assert np.isfinite(position).all()


@pytest.fixture(scope="session")
def check_limbs() -> Callable[[Script, Performance], None]:
    """Fails unless bones keep their lengths, and hands and things are somewhere in every frame."""
    return _check_limbs
