"""Pictures of a head that were taken once and kept, each with where its camera stood."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from facerecon_ray.synthesis.rendering.view_sampling import Standpoint

Side = tuple[float, float]
"""Yaw and pitch in degrees."""


@dataclass(frozen=True, eq=False)
class StoredPhotos:
    """All pictures of one head.

    files        contents of the picture files, by side
    standpoints  of the same sides
    landmarks    (51, 3) landmarks 18 to 68 on the head, metres, head frame
    """

    files: dict[Side, bytes]
    standpoints: dict[Side, Standpoint]
    landmarks: np.ndarray

    def picture(self, side: Side) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""
        with Image.open(io.BytesIO(self.files[side])) as picture:
            return np.asarray(picture.convert("RGB"))
