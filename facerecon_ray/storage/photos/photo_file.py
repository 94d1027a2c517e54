"""Decode photos of any common kind to upright 8-bit sRGB of bounded size."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, JpegImagePlugin

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.photo_colours import to_srgb
from facerecon_ray.storage.photos.photo_formats import Reading, format_of
from facerecon_ray.storage.photos.photo_lens import focal_length, lens_exif

ORIENTATION_TAG = 0x0112

# EXIF orientation: how the stored picture must be turned to be upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = tuple(UPRIGHT[orientation] for orientation in (5, 6, 7, 8))

TIFF_MODES = frozenset({"1", "L", "LA", "P", "I", "I;16", "I;16B", "F", "RGB", "RGBA", "CMYK", "LAB"})
"""Modes that PIL writes as TIFF and reads again as they were."""

UNSCALED = ReadSettings(max_side=1_000_000)
"""For those who need every pixel."""


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    pixels          (h, w, 3) uint8 sRGB, upright, perhaps scaled down
    width, height   size of the upright original, pixels
    focal_length    of its camera, as the file states it, pixels of the original; 0 where it is not known
    """

    pixels: np.ndarray
    width: int
    height: int
    focal_length: float = 0.0

    @property
    def to_original(self) -> np.ndarray:
        """(2,) factors that turn x and y of `pixels` into original pixels."""
        return np.array([self.width / self.pixels.shape[1], self.height / self.pixels.shape[0]])


def decode_photo(data: bytes, settings: ReadSettings, longest_side: Callable[[int], float] = float) -> Photo:
    """Decode a photo file of any colour mode and depth; of several pictures in it, the first or the main one.

    Colours become sRGB as the photo's ICC profile says, transparent pixels white. The size is checked in the header,
    before anything is decoded; a large JPEG is decoded at reduced size.

    Parameters
    ----------
    data : contents of the file
    settings : limits
    longest_side : pixels of the longer side that are wanted of an original with so many; without it all of them

    Raises
    ------
    PhotoError
        when the data is empty, too large, no image, damaged, of a kind that cannot be decoded here, without pixels or
        with too many of them
    """
    if not data:
        raise PhotoError("the file is empty")
    if len(data) > settings.max_bytes:
        raise PhotoError(f"the file has {len(data):,} bytes, more than read.max_bytes = {settings.max_bytes:,}")
    kind = format_of(data)
    fault: Exception | None = None
    for read in kind.readings(data):
        try:
            return _decode(read, settings, longest_side)
        except PhotoError:
            raise
        except Exception as error:  # noqa: BLE001 - decoders raise errors of every kind on damaged files
            fault = error
    assert fault is not None
    raise PhotoError(_describe(fault, kind.name)) from fault


def encode_photo(image: Image.Image) -> bytes:
    """An image that was opened by PIL as the contents of a file, upright, without loss, with its profile and lens.

    Raises
    ------
    PhotoError
        when its file is damaged, or it has no pixels
    """
    contents = io.BytesIO()
    try:
        image.load()
        if image.mode == "La":
            upright = image.convert("LA")
        elif image.mode not in TIFF_MODES or "transparency" in image.info:
            upright = image.convert("RGBA" if image.has_transparency_data else "RGB")
        else:
            upright = image
        turn = UPRIGHT.get(_orientation(image))
        upright = upright.transpose(turn) if turn is not None else upright
        upright.save(contents, "TIFF", compression="raw", exif=lens_exif(image))
    except AssertionError as error:
        raise PhotoError(f"the {image.format} image's file was closed before its pixels were read") from error
    except Exception as error:  # as above
        raise PhotoError(_describe(error, image.format or "PIL")) from error
    return contents.getvalue()


def _describe(error: Exception, kind: str) -> str:
    """One sentence on a file that a decoder gave up on; its words do not tell damage from what it cannot do."""
    reason = (str(error).splitlines() or [""])[0].strip(" .")[:120] or type(error).__name__
    if any(sign in reason.lower() for sign in ("truncated", "end of file", "eof", "not enough data")):
        return "the image is truncated"
    return f"the {kind} image is damaged or of a kind that is not supported ({reason})"


def _decode(read: Reading, settings: ReadSettings, longest_side: Callable[[int], float]) -> Photo:
    with read() as image:
        width, height = image.size
        if width * height > settings.max_pixels:
            raise PhotoError(
                f"the image has {width * height:,} pixels ({width} x {height}), "
                f"more than read.max_pixels = {settings.max_pixels:,}"
            )
        most = min(settings.max_side, longest_side(max(width, height)))
        reduced = None
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            reduced = image.draft(None, _bounded_size(width, height, most))
        image.load()
        if reduced is None:
            width, height = image.size
        turn = UPRIGHT.get(_orientation(image))
        focal = focal_length(image, width, height)
        box = reduced[1] if reduced else (0, 0, width, height)
        rgb = to_srgb(image, _bounded_size(width, height, most), box)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return Photo(np.asarray(rgb), *((height, width) if turn in SIDEWAYS else (width, height)), focal)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1 (upright) when there is none, it cannot be read, or the decoder turns the picture itself."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - broken metadata beside an intact picture; parsers raise errors of every kind
        return 1


def _bounded_size(width: float, height: float, max_side: float) -> tuple[int, int]:
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
