"""Does the face in a photo wear glasses? Frames are lines across the bridge of the nose and below the eyes."""

import cv2
import numpy as np

from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout

BRIDGE_HALF_WIDTH, BRIDGE_HEIGHTS = 0.007, (0.022, 0.048)
CHEEK_SIDES, CHEEK_HEIGHTS = (0.018, 0.050), (0.006, 0.030)
"""Where the lines are looked for: metres on the mean face, from its middle and from the height of the nose's tip."""

LINE_WIDTH, SURROUNDINGS = 1.2, 6.0
"""Blur in texels of a line and of what it is compared with."""

DARKEST = 0.05


class FrameDetector:
    """Measures how strongly a skin texture shows the frames of glasses.

    Parameters
    ----------
    layout : of the texture
    """

    def __init__(self, layout: SkinLayout) -> None:
        place = layout.picture(layout.place)
        across, height, shown = np.abs(place[..., 0]), place[..., 1], layout.shown.numpy()
        self._bridge = shown & (across < BRIDGE_HALF_WIDTH) & _within(height, BRIDGE_HEIGHTS)
        self._cheeks = shown & _within(across, CHEEK_SIDES) & _within(height, CHEEK_HEIGHTS)

    def __call__(self, luminance: np.ndarray) -> float:
        """Mean over the texture's columns of the strongest line in them, natural logarithm of its contrast.

        Lines over the nose may be dark or bright, those on the cheeks are dark. Bare faces have 0.60 to 0.80,
        faces with glasses 0.73 to 1.6.

        Parameters
        ----------
        luminance : (512, 512) relative reflectance
        """
        level = np.log(luminance.clip(DARKEST)).astype(np.float32)
        line = cv2.GaussianBlur(level, (0, 0), SURROUNDINGS) - cv2.GaussianBlur(level, (0, 0), LINE_WIDTH)
        return _strongest(line, self._cheeks) + _strongest(np.abs(line), self._bridge)


def _within(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return np.asarray((values > limits[0]) & (values < limits[1]))


def _strongest(line: np.ndarray, where: np.ndarray) -> float:
    columns = where.any(0)
    return float(np.where(where, line, -np.inf)[:, columns].max(0).mean())
