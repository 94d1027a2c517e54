"""Similarity alignment of point sets with known correspondence.

Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991.
"""

import numpy as np


def align(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale, rotation and translation that bring source closest to target in the sense of least squares.

    Parameters
    ----------
    source, target : (..., N, 3)

    Returns
    -------
    scale (...,), rotation (..., 3, 3), translation (..., 3): target is about scale * source @ rotation^T + translation
    """
    source_mean, target_mean = source.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = np.swapaxes(target_centred, -1, -2) @ source_centred
    left, singular, right = np.linalg.svd(covariance)
    sign = np.ones_like(singular)
    sign[..., 2] = np.sign(np.linalg.det(left @ right))
    rotation = (left * sign[..., None, :]) @ right
    scale = (singular * sign).sum(-1) / (source_centred**2).sum((-1, -2))
    turned = scale[..., None, None] * source_mean @ np.swapaxes(rotation, -1, -2)
    return scale, rotation, (target_mean - turned)[..., 0, :]


def apply_alignment(
    points: np.ndarray, scale: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> np.ndarray:
    """(..., N, 3) points moved by what `align` returned."""
    return scale[..., None, None] * points @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]
