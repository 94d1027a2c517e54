"""Decode photos of any common kind to upright 8-bit RGB of bounded size."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import PhotoError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MAGIC_BYTES = 16
ORIENTATION_TAG = 0x0112
BACKGROUND = (255, 255, 255)
REDUCING_GAP = 3.0

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
SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Photo:
    """A decoded photo.

    pixels          (h, w, 3) uint8 RGB, upright, perhaps scaled down
    width, height   size of the upright original, pixels
    """

    pixels: np.ndarray
    width: int
    height: int

    @property
    def to_original(self) -> np.ndarray:
        """(2,) factors that turn x and y of `pixels` into original pixels."""
        return np.array([self.width / self.pixels.shape[1], self.height / self.pixels.shape[0]])


def decode_photo(data: bytes, settings: ReadSettings) -> Photo:
    """Decode a JPEG, PNG, WebP, BMP, TIFF or GIF (its first picture) of any colour mode.

    Transparent pixels become white. The size is checked in the header, before anything is decoded; a large JPEG is
    decoded at reduced size.

    Raises
    ------
    PhotoError
        when the data is empty, too large, no image, damaged, without pixels or with too many of them
    """
    if not data:
        raise PhotoError("the file is empty")
    if len(data) > settings.max_bytes:
        raise PhotoError(f"the file has {len(data):,} bytes, more than read.max_bytes = {settings.max_bytes:,}")
    with _open(data) as image:
        width, height = image.size
        if width < 1 or height < 1:
            raise PhotoError(f"the image has no pixels ({width} x {height})")
        if width * height > settings.max_pixels:
            raise PhotoError(
                f"the image has {width * height:,} pixels ({width} x {height}), "
                f"more than read.max_pixels = {settings.max_pixels:,}"
            )
        try:
            box = _load(image, settings.max_side)
            orientation = _orientation(image)
        except Exception as error:  # decoders raise errors of every kind on damaged files
            what = "truncated" if "truncated" in str(error) else f"damaged ({type(error).__name__})"
            raise PhotoError(f"the image is {what}") from error
        rgb = _to_rgb(image, settings.max_side, box)
    turn = UPRIGHT.get(orientation)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return Photo(np.asarray(rgb), *((height, width) if orientation in SIDEWAYS else (width, height)))


def _open(data: bytes) -> ImageFile.ImageFile:
    """Read the header. Image.open would apply PIL's own pixel limit, which is global to the process."""
    Image.init()
    for name in FORMATS:
        factory, accepts = Image.OPEN[name]
        if accepts is not None and accepts(data[:MAGIC_BYTES]) is not True:
            continue
        try:
            return factory(io.BytesIO(data), "")
        except Exception as error:  # as above; the magic number says that this is the right decoder
            raise PhotoError(f"the image's header is damaged ({type(error).__name__})") from error
    raise PhotoError("the file is not a JPEG, PNG, WebP, BMP, TIFF or GIF image")


def _load(image: ImageFile.ImageFile, max_side: int) -> tuple[float, float, float, float]:
    """Decode, a large JPEG at reduced size; the box of the decoded picture that the original fills."""
    reduced = None
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        reduced = image.draft(None, _bounded_size(*image.size, max_side))
    image.load()
    return reduced[1] if reduced else (0, 0, *image.size)


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation; 1 (upright) when there is none or it cannot be read. A loaded TIFF is upright already."""
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - broken metadata beside an intact picture; parsers raise errors of every kind
        return 1


def _to_rgb(image: Image.Image, max_side: int, box: tuple[float, float, float, float]) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = _to_grey(image)
    mode = "RGBA" if image.has_transparency_data else "RGB"
    colours = image if image.mode == mode else image.convert(mode)
    size = _bounded_size(box[2], box[3], max_side)
    if size != colours.size:
        colours = colours.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=REDUCING_GAP)
    if mode == "RGB":
        return colours
    return Image.alpha_composite(Image.new("RGBA", colours.size, BACKGROUND), colours).convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and floating-point greys to 8 bits.

    16-bit modes use their whole range. The others do not say what white is: the smallest of 1 (floating point only),
    255 and 65535 that holds all values is taken, and values beyond are stretched between their extremes.
    """
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        candidates: tuple[float, ...] = (65535.0,)
    else:
        candidates = (1.0, 255.0, 65535.0) if image.mode.startswith("F") else (255.0, 65535.0)
    white = next((white for white in candidates if low >= 0 and high <= white), None)
    if white is None:
        values, white = values - low, (high - low) or 1.0
    return Image.fromarray(np.round(values * (255.0 / white)).astype(np.uint8))


def _bounded_size(width: float, height: float, max_side: int) -> tuple[int, int]:
    scale = min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
