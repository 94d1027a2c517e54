"""Zones of the face that differ in how dark the skin there can be."""

from dataclasses import dataclass

import numpy as np

from facerecon_ray.geometry.face_model import REGIONS
from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout

UPPER_FLOOR, LOWER_FLOOR = 0.6, 0.5
"""Luminance below which plain skin of the upper and the lower face hardly falls; darker are shadows, or a beard."""

EYE_DISTANCE, MOUTH_DISTANCE = 0.008, 0.0012
"""Metres from the openings of eyes and mouth from which on skin is neither lid nor lip."""


@dataclass(frozen=True, eq=False)
class FaceZones:
    """Places on the face where the skin can be how dark, of the P texels of a layout.

    upper   (P,) bool, cheeks, temples and sides of the nose, without eyes, brows and nostrils
    lower   (P,) bool, around the mouth and below, without the lips
    beard   (P,) bool, the chin and the upper lip
    """

    upper: np.ndarray
    lower: np.ndarray
    beard: np.ndarray

    @staticmethod
    def of(layout: SkinLayout) -> "FaceZones":
        """Find the zones on the mean face."""
        across, height = np.abs(layout.place[:, 0]), layout.place[:, 1]
        skin = np.isin(layout.region, [REGIONS.index("skin"), REGIONS.index("nose")]) & (across < 0.055)
        nostrils = (across < 0.020) & (np.abs(height + 0.006) < 0.012)
        upper = skin & ~nostrils & (height > -0.022) & (height < 0.036) & (layout.to_eye > EYE_DISTANCE)
        lower = skin & ~nostrils & (height <= -0.022) & (layout.to_mouth > MOUTH_DISTANCE)
        chin = (across < 0.016) & (height < -0.055)
        lip = (across < 0.018) & (height > -0.021) & (height < -0.013)
        return FaceZones(upper, lower, skin & (chin | lip))

    def floor(self, bearded: bool) -> np.ndarray:
        """(P,) luminance below which skin hardly falls, 0 where it may be black."""
        floor = UPPER_FLOOR * self.upper + (0.0 if bearded else LOWER_FLOOR) * self.lower
        return np.asarray(floor, np.float32)
