"""Where hair, beard, lips and other regions lie on the average head, as smooth fields over its surface, in metres."""

import numpy as np

SKULL_AXIS = -0.05
"""Depth of the vertical axis around which directions on the head are measured: between the ears."""

HAIRLINE_AZIMUTH = (0.0, 18.0, 32.0, 44.0, 55.0, 64.0, 71.0, 79.0, 84.0, 91.0, 105.0, 115.0, 125.0, 140.0, 180.0)
HAIRLINE_HEIGHT = (
    0.090, 0.091, 0.087, 0.077, 0.056, 0.036, 0.008, -0.004, 0.006, 0.040, 0.038, 0.008, -0.032, -0.050, -0.060,
)  # fmt: skip
"""Lower end of the scalp's hair by direction: forehead, temple, sideburn, around the ear, nape."""


CHEEK_DEPTH = 0.03
"""Metres below its upper line over which a beard on the cheeks grows dense."""


def azimuth(place: np.ndarray) -> np.ndarray:
    """(...) degrees between the front, 0, and the back of the head, 180, for places (..., 3); both sides alike."""
    return np.degrees(np.arctan2(np.abs(place[..., 0]), place[..., 2] - SKULL_AXIS))


def hairline(angle: np.ndarray, receding: float = 0.0, height: float = 0.0) -> np.ndarray:
    """(...) metres: lower end of the hair in directions (...) in degrees.

    Parameters
    ----------
    angle : 0 front to 180 back
    receding : 0 full hair, 1 bald to the crown
    height : metres by which the forehead is higher
    """
    line = np.interp(angle, HAIRLINE_AZIMUTH, HAIRLINE_HEIGHT)
    front = np.clip(1.0 - angle / 75.0, 0.0, 1.0)
    temples = np.exp(-(((angle - 30.0) / 15.0) ** 2))
    return line + height * np.sqrt(front) + receding * (0.03 * np.sqrt(front) + 0.025 * temples)


def beard_field(place: np.ndarray, mouth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Densities 0 to 1 of cheeks and jaw, moustache, chin, and neck hair.

    Parameters
    ----------
    place : (..., 3) on the average head
    mouth : (3,) middle of the lips

    Returns
    -------
    four times (...)
    """
    x, y, angle = np.abs(place[..., 0]), place[..., 1], azimuth(place)
    cheek_line = np.interp(angle, (0.0, 20.0, 28.0, 45.0, 62.0, 78.0), (-0.028, -0.030, -0.032, -0.022, -0.004, 0.03))
    cheeks = np.clip((cheek_line + 0.006 - y) / CHEEK_DEPTH, 0.0, 1.0)
    cheeks = cheeks * step((84.0 - angle) / 3.0) * step((angle - 20.0) / 5.0)
    jaw = cheeks * step((y + 0.082) / 0.006)
    moustache = np.exp(-(((y - mouth[1] - 0.0145 + 0.35 * np.maximum(x - 0.012, 0.0)) / 0.0062) ** 4))
    moustache = (
        moustache * step((0.031 - x) / 0.003) * (place[..., 2] > 0.02) * (0.55 + 0.45 * step((x - 0.004) / 0.002))
    )
    chin = step((mouth[1] - 0.016 - y) / 0.004) * step((0.030 - x) / 0.006) * step((y + 0.088) / 0.006)
    corners = np.exp(-(((x - 0.030) / 0.006) ** 2)) * step((mouth[1] + 0.012 - y) / 0.005) * step((y + 0.08) / 0.006)
    neck = step((-0.066 - y) / 0.008) * step((y + 0.097) / 0.008) * step((75.0 - angle) / 6.0)
    front = place[..., 2] > -0.05
    return jaw * front, moustache, np.maximum(chin, corners) * front, neck * front


def step(edge: np.ndarray) -> np.ndarray:
    """Soft step from 0 below -1 to 1 above 1."""
    t = np.clip(0.5 * (edge + 1.0), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
