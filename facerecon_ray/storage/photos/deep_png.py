"""PNG files whose colours keep all their 16 bits; PIL keeps the upper 8, and 12-bit values in them come out black."""

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from facerecon_ray.storage.photos.photo_depth import to_8_bits

DEPTH_BYTE = 24
"""Where the header says how many bits a value has."""


class DeepPng(PngImageFile):
    """A PNG file that OpenCV decodes a second time when its colours, or its grey beside an alpha channel, are deep."""

    def _open(self) -> None:
        assert isinstance(self.fp, io.BytesIO)
        contents = self.fp.getvalue()
        super()._open()
        self._deep = contents if contents[DEPTH_BYTE] == 16 and self.mode in ("LA", "RGB", "RGBA") else b""

    def load(self) -> Any:
        """Decode; PIL first, since OpenCV does not say that a file is truncated."""
        super().load()
        if self._deep:
            values = np.asarray(cv2.imdecode(np.frombuffer(self._deep, np.uint8), cv2.IMREAD_UNCHANGED))
            self._deep = b""
            picture = Image.fromarray(_colours(values))
            self.info.pop("transparency", None)
            self.im, self._mode = picture.im, picture.mode
        return super().load()


def _colours(values: np.ndarray) -> np.ndarray:
    """(H, W, 3 or 4) uint8 RGB or RGBA of OpenCV's (H, W, 3 or 4) uint16 BGR or BGRA."""
    rgb = to_8_bits(values[..., 2::-1])
    return rgb if values.shape[2] == 3 else np.dstack([rgb, values[..., 3] >> 8]).astype(np.uint8)
