"""JPEG pictures to and from NumPy arrays (libjpeg-turbo through simplejpeg)."""

import numpy as np
import simplejpeg
from jaxtyping import UInt8


def encode_jpeg(picture: UInt8[np.ndarray, "height width channel"], quality: int = 90) -> bytes:
    """Encodes an RGB (three channels, 4:2:0) or gray (one channel) picture.

    Args:
        picture: Pixels, 0-255.
        quality: JPEG quality, 1-100.

    Returns:
        The JFIF file.

    Raises:
        ValueError: the picture has neither one nor three channels.
    """
    channels = picture.shape[2]
    if channels == 3:
        return simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture), quality=quality, colorsubsampling="420"
        )
    if channels == 1:
        return simplejpeg.encode_jpeg(
            np.ascontiguousarray(picture),
            quality=quality,
            colorspace="GRAY",
            colorsubsampling="Gray",
        )
    raise ValueError(f"a picture of {channels} channels; expected 3 (RGB) or 1 (gray)")


def encode_jpeg_yuv420(
    planes: UInt8[np.ndarray, "rows width"], height: int, width: int, quality: int = 90
) -> bytes:
    """Encodes the planes of a 4:2:0 picture as they are, without a detour through RGB.

    Args:
        planes: Y, U and V one below the other, `height * 3 / 2` rows, full range, BT.601.
        height: Height of the picture, even.
        width: Width of the picture, even.
        quality: JPEG quality, 1-100.

    Returns:
        The JFIF file.
    """
    flat = planes.reshape(-1)
    luma, chroma = height * width, height * width // 4
    return simplejpeg.encode_jpeg_yuv_planes(
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(height // 2, width // 2),
        flat[luma + chroma :].reshape(height // 2, width // 2),
        quality,
    )


def decode_jpeg(data: bytes, channels: int) -> UInt8[np.ndarray, "height width channel"]:
    """Decodes a JPEG.

    Args:
        data: The JFIF file.
        channels: 3 for RGB, 1 for gray; the picture is converted where it has others.

    Returns:
        Pixels, 0-255.

    Raises:
        ValueError: the bytes are no readable JPEG.
    """
    return simplejpeg.decode_jpeg(data, "RGB" if channels == 3 else "GRAY")
