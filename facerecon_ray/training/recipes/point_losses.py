"""How far points, and the heat maps that they are the means of, are from the truth."""

import torch
from torch import Tensor

from facerecon_ray.geometry.crop_transform import CROP_SIZE

MOST_SQUARE = 30.0
"""Squared error of a point, in squared deviations, from which on a larger one counts no more."""

MAP_WIDTH = 1.0
"""Standard deviation of the Gaussians that heat maps are to be like, in their pixels."""


def negative_log_likelihood(errors: Tensor, deviation: Tensor) -> Tensor:
    """Mean of Gaussians with deviations (B, P) along each axis at errors (B, P, 2), without its constant; one number.

    The squares are capped where only an outlier can be: one covered face would count as much as all others.
    """
    square = (errors / deviation[..., None]).square().sum(-1)
    return (2.0 * deviation.log() + 0.5 * square.clamp(max=MOST_SQUARE)).mean()


def map_loss(maps: Tensor, points: Tensor) -> Tensor:
    """Cross entropy of heat maps (B, P, H, H) to Gaussians around points (B, P, 2), crop pixels; 0 at best."""
    side = maps.shape[-1]
    centres = torch.arange(side, device=maps.device) + 0.5
    distance = (points[..., None] * (side / CROP_SIZE) - centres) / MAP_WIDTH
    along_x, along_y = (-0.5 * distance.square()).softmax(-1).unbind(-2)
    agreement = ((maps @ along_x[..., None])[..., 0] * along_y).sum(-1) - maps.flatten(2).logsumexp(-1)
    entropy = -(torch.xlogy(along_x, along_x).sum(-1) + torch.xlogy(along_y, along_y).sum(-1))
    return (-agreement - entropy).mean()
