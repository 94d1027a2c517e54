"""TIFF files with more than 8 bits a value, or layouts that PIL does not know, such as floating-point colours."""

from typing import Any

import numpy as np
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import PHOTOMETRIC, TiffFile

from facerecon_ray.storage.photos.photo_depth import to_8_bits

BITS, ORIENTATION, ICC_PROFILE = 258, 274, 34675
GREYS = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK)


def open_tiff(contents: Any, name: str) -> ImageFile.ImageFile:
    """A TIFF file as PIL reads it when its values have 8 bits, else as tifffile does."""
    image = TiffImageFile(contents, name)
    if max(image.tag_v2.get(BITS, (1,))) <= 8 or image.mode == "CMYK":
        return image
    return DeepTiff(contents, name)


class DeepTiff(ImageFile.ImageFile):
    """The first picture of a TIFF file, decoded by tifffile: greys and colours of any number type."""

    format = "TIFF"

    def _open(self) -> None:
        assert self.fp is not None
        self.fp.seek(0)
        self._page = TiffFile(self.fp).pages.first
        self._size = (self._page.imagewidth, self._page.imagelength)
        self._mode = "L" if self._page.photometric in GREYS else "RGB"
        self.tile = []
        profile = self._page.tags.valueof(ICC_PROFILE)
        if isinstance(profile, bytes):
            self.info["icc_profile"] = profile
        self._exif = Image.Exif()
        self._exif[ORIENTATION] = int(self._page.tags.valueof(ORIENTATION, 1))
        self._decoded = False

    def load(self) -> Any:
        """Decode.

        Raises
        ------
        ValueError
            when tifffile cannot, with what the file holds
        """
        if not self._decoded:
            picture = Image.fromarray(self._pixels())
            self.im, self._mode, self._decoded = picture.im, picture.mode, True
        return super().load()

    def _pixels(self) -> np.ndarray:
        """(H, W) or (H, W, 3) uint8; a fourth channel and further ones are left out."""
        page = self._page
        layout = f"{page.bitspersample} bits, {_name(page.photometric)}, {_name(page.compression)}, {page.dtype}"
        grey = page.photometric in GREYS
        if (not grey and page.photometric != PHOTOMETRIC.RGB) or page.dtype is None or page.dtype.kind not in "iuf":
            raise ValueError(layout)
        try:
            values = page.asarray().reshape(page.shaped)
        except Exception as error:
            raise ValueError(f"{layout}: {error}") from error
        # Separate planes, depth, height, width, values of a pixel.
        planes = np.moveaxis(values[:, 0], 0, -2).reshape(self._size[1], self._size[0], -1)
        pixels = to_8_bits(planes[..., 0] if grey else planes[..., :3])
        return 255 - pixels if page.photometric == PHOTOMETRIC.MINISWHITE else pixels


def _name(code: int) -> str:
    """The TIFF standard's name of a number, or the number."""
    return str(getattr(code, "name", code))
