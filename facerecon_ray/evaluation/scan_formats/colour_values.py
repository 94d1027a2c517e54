"""Colours as mesh files give them, as display values: of vertices, of materials and of textures."""

import io

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

WHITES = (1.0, 255.0, 65535.0)
"""What files take for white; they do not say which."""

MOST_SIDE = 4096
"""Pixels of a texture's longer side: a picture of a scan shows less, and floats of a larger one fill the memory."""

EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


class TextureError(Exception):
    """Why a picture cannot be used."""


def to_255(values: np.ndarray) -> np.ndarray:
    """Colours on a scale to 255: white is the smallest of 1 (no integers), 255 and 65535 that no value exceeds.

    Parameters
    ----------
    values : of any shape and type, nan where there is none

    Returns
    -------
    float64 of the same shape, nan where the values are beyond all scales or below 0
    """
    numbers = np.asarray(values, np.float64)
    if np.asarray(values).dtype == np.uint8:
        return numbers
    finite = numbers[np.isfinite(numbers)]
    high = float(finite.max(initial=0.0))
    whites = WHITES[1:] if np.issubdtype(np.asarray(values).dtype, np.integer) else WHITES
    white = next((white for white in whites if high <= white), None)
    if white is None or float(finite.min(initial=0.0)) < 0:
        return np.full(numbers.shape, np.nan)
    return numbers * (255.0 / white)


def own_colours(values: np.ndarray, notes: list[str]) -> np.ndarray:
    """Colours of vertices, faces or materials as `to_255` gives them; what is on no scale is noted."""
    shown = to_255(values)
    if np.isfinite(values).any() and not np.isfinite(shown).any():
        notes.append("its colours are on no known scale")
    return shown


def from_linear(values: np.ndarray) -> np.ndarray:
    """Display values 0 to 255 of linear light 0 to 1 (IEC 61966-2-1, sRGB)."""
    light = np.clip(np.asarray(values, np.float64), 0.0, 1.0)
    return 255.0 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def to_linear(values: np.ndarray) -> np.ndarray:
    """The other way: linear light 0 to 1 of display values 0 to 255."""
    shown = np.asarray(values, np.float64) / 255.0
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)


def texture_pixels(data: bytes) -> np.ndarray:
    """Decode a texture of any depth and colour mode; what is transparent keeps its colour, for many files have no
    use of it.

    Returns
    -------
    (H, W, 3) uint8 RGB, scaled down to `MOST_SIDE`

    Raises
    ------
    TextureError
        when it is damaged or of no known kind
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (MOST_SIDE, MOST_SIDE))
            pixels = np.asarray(image.convert("RGB") if image.mode in EIGHT_BIT_MODES else image)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        pixels = _by_opencv(data)
    except Exception as error:  # decoders raise errors of every kind on damaged files
        what = "truncated" if "truncated" in str(error) else f"damaged ({type(error).__name__})"
        raise TextureError(f"it is {what}") from error
    if pixels.dtype != np.uint8:
        shown = to_255(pixels.astype(np.int64) if pixels.dtype.kind == "i" else pixels)
        if not np.isfinite(shown).all():
            raise TextureError("its values are on no known scale")
        pixels = shown.round().astype(np.uint8)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, 2)
    height, width = pixels.shape[:2]
    shrink = MOST_SIDE / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(pixels)


def _by_opencv(data: bytes) -> np.ndarray:
    """What Pillow leaves out: TIFFs of 16 bits and three channels, and very large pictures."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise TextureError("it is no picture of a known kind")
    return pixels if pixels.ndim == 2 else pixels[..., 2::-1] if pixels.shape[2] >= 3 else pixels[..., 0]
