"""The light on a face in a photo, estimated from skin that is taken to be of one reflectance everywhere."""

import numpy as np

LIGHT_ROUNDS, LIGHT_SPREAD = 6, 0.15
SHADING_LIMITS = (0.35, 2.0)
"""Estimated shading is kept within these factors of its median."""

FRONT = 0.62
"""Cosine of the angle between normal and line of sight from which a texel tells what usual shading is."""

LEAST_SAMPLES, STEP = 500, 5
"""Texels of plain skin that are needed, and how many of them share one that is used."""


def estimate_light(normal: np.ndarray, luminance: np.ndarray) -> np.ndarray | None:
    """Light under which plain skin of one reflectance looks most as it does in the photo.

    Texels that no light explains, such as beard and shadows, lose their weight.

    Parameters
    ----------
    normal : (Q, 3) image frame, unit vectors of plain skin that the photo shows
    luminance : (Q,) linear

    Returns
    -------
    (9,) coefficients of spherical harmonics, None where hardly any skin is shown
    """
    if len(luminance) < LEAST_SAMPLES:
        return None
    basis, target = _harmonics(normal[::STEP]), luminance[::STEP]
    level = max(float(np.median(target)), 1e-3)
    ridge = np.diag([0.0, *[0.002] * 3, *[0.02] * 5]) * len(target)
    weight = np.ones(len(target))
    for _ in range(LIGHT_ROUNDS):
        weighted = basis * weight[:, None]
        light = np.linalg.solve(basis.T @ weighted + ridge, weighted.T @ (target / level))
        residual = target / level / (basis @ light).clip(0.1) - 1.0
        weight = 1.0 / (1.0 + (residual / LIGHT_SPREAD) ** 2)
    return np.asarray(light * level, np.float32)


def shading(normal: np.ndarray, light: np.ndarray) -> np.ndarray:
    """(P,) brightness of plain skin with normals (P, 3) in a light (9,), kept near its usual value."""
    values = _harmonics(normal) @ light
    middle = float(np.median(values[normal[:, 2] > FRONT]))
    return np.asarray(values.clip(SHADING_LIMITS[0] * middle, SHADING_LIMITS[1] * middle))


def _harmonics(normal: np.ndarray) -> np.ndarray:
    """(P, 9) spherical harmonics up to order 2 without their constants (Ramamoorthi and Hanrahan, 2001)."""
    x, y, z = normal.T
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, 3 * z * z - 1, x * x - y * y], 1)
