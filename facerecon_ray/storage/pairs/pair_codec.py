"""How the pictures and position maps of training pairs are packed into bytes."""

from typing import Literal

import cv2
import numpy as np

from facerecon_ray.errors import StorageError

JPEG_QUALITY = 95
PNG_LEVEL = 1

_JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    JPEG_QUALITY,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]


def pack_image(image: np.ndarray, kind: Literal["jpeg", "png"]) -> bytes:
    """A picture (H, W, 3) uint8 RGB as a JPEG of quality 95 with colours at full resolution, or as a PNG."""
    suffix, options = (".jpg", _JPEG) if kind == "jpeg" else (".png", _PNG)
    packed, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not packed:
        raise StorageError(f"a picture of shape {image.shape} could not be packed as {kind}")
    return bytes(data.tobytes())


def unpack_image(data: bytes) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB.

    Raises
    ------
    StorageError
        when the bytes are no picture
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise StorageError("its bytes are not a picture")
    return np.asarray(image)


def pack_mask(mask: np.ndarray) -> bytes:
    """A picture (H, W) uint8 of one channel as a PNG, without loss."""
    packed, data = cv2.imencode(".png", mask, _PNG)
    if not packed:
        raise StorageError(f"a mask of shape {mask.shape} could not be packed")
    return bytes(data.tobytes())


def unpack_mask(data: bytes) -> np.ndarray:
    """A picture (H, W) uint8 of one channel.

    Raises
    ------
    StorageError
        when the bytes are no picture
    """
    mask = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if mask is None:
        raise StorageError("its bytes are not a picture")
    return np.asarray(mask)


def pack_map(position_map: np.ndarray) -> bytes:
    """A map (H, W, 3) float16 as bytes of the same length, of which zstd leaves a sixth.

    A map is smooth: the bit patterns of float16, taken as integers, differ little between neighbours. What is kept are
    these differences along the rows, channel by channel, all low bytes before all high bytes; nothing is lost.
    """
    bits = np.ascontiguousarray(np.moveaxis(position_map, -1, 0), "<f2").view("<u2")
    differences = np.diff(bits, axis=-1, prepend=np.zeros_like(bits[..., :1]))
    return differences.view(np.uint8).reshape(-1, 2).T.tobytes()


def unpack_map(data: bytes, size: int) -> np.ndarray:
    """The map (size, size, 3) float16 that `pack_map` packed.

    Raises
    ------
    StorageError
        when the bytes are no map of that size
    """
    if len(data) != 6 * size * size:
        raise StorageError(f"its {len(data)} bytes are not a position map of {size} x {size} pixels")
    differences = (
        np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(2, -1).T).view("<u2").reshape(3, size, size)
    )
    bits = np.cumsum(differences, axis=-1, dtype=np.uint16)
    return np.ascontiguousarray(np.moveaxis(bits.view(np.float16), 0, -1))
