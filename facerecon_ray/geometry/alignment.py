"""Similarity alignment of point sets with known correspondence.

Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991.
"""

import numpy as np
import torch
from torch import Tensor


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


def align_batch(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same as tensors on one device.

    Parameters
    ----------
    source, target : (B, N, 3) float32

    Returns
    -------
    scale (B,), rotation (B, 3, 3), translation (B, 3), float32; the 3 x 3 matrices are decomposed in float64
    """
    source_mean, target_mean = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    left, singular, right = torch.linalg.svd((target_centred.mT @ source_centred).double())
    sign = torch.ones_like(singular)
    sign[..., 2] = torch.linalg.det(left @ right).sign()
    rotation = ((left * sign[..., None, :]) @ right).float()
    scale = (singular * sign).sum(-1).float() / source_centred.square().sum((-1, -2))
    turned = scale[..., None, None] * source_mean @ rotation.mT
    return scale, rotation, (target_mean - turned)[..., 0, :]


def apply_alignment(
    points: np.ndarray, scale: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> np.ndarray:
    """(..., N, 3) points moved by what `align` returned."""
    return scale[..., None, None] * points @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]
