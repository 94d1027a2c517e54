"""Fill what the photo did not see in a turned view: the mirrored half of the face, then smooth colours.

This is where a generator network that repairs the render takes over; it gets the same turned view.
"""

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.box_means import mean_around
from facerecon_ray.geometry.turned_view import TurnedView

HAIR = 0.16
"""Share of the picture's width by which hair, hats and ears may stand out over the model's head, up and to the sides.
What is nearer to it is not taken for background: it would stay behind the turned head as a ghost."""

BLOCK = 4
"""Pixels to which the outline of the hair is exact."""


def fill_view(view: TurnedView, photos: Tensor) -> Tensor:
    """Complete a turned view.

    Seen pixels stay; unseen ones take the mirrored point's colour where the photo saw that, else colours spread from
    around them. Behind the head lies a soft version of the photo's own background.

    Parameters
    ----------
    view : the turned view
    photos : (B, 3, H, W) float32 0 to 255

    Returns
    -------
    (B, 3, H, W) float32 0 to 255
    """
    from_mirror = (1 - view.seen) * view.mirror_seen
    known = view.seen + from_mirror
    colours = view.picture * view.seen + view.mirrored * from_mirror
    spread = spread_colours(colours, known)
    head = colours + spread * (1 - known)
    outside = 1 - _with_hair(view.photo_head.to(photos.dtype))
    background = spread_colours(photos * outside, outside)
    soft_edge = mean_around(view.head.to(photos.dtype), 1)
    return head * soft_edge + mean_around(background, 4) * (1 - soft_edge)


def _with_hair(head: Tensor) -> Tensor:
    """The mask of a head (B, 1, H, W) with what may stand out over it; nothing is added below it."""
    # In blocks, first up, then aside: one pool as large as this would take longer than the rest of the stage.
    blocks = functional.max_pool2d(head, BLOCK, ceil_mode=True)
    reach = round(HAIR * blocks.shape[-1])
    above = functional.max_pool2d(functional.pad(blocks, (0, 0, 0, reach)), (reach + 1, 1), 1)
    around = functional.max_pool2d(above, (1, 2 * reach + 1), 1, (0, reach))
    return functional.interpolate(around, scale_factor=BLOCK)[..., : head.shape[-2], : head.shape[-1]]


def spread_colours(colours: Tensor, weight: Tensor) -> Tensor:
    """Smooth colours everywhere from weighted ones: coarse levels of a pyramid fill what finer ones leave open.

    Parameters
    ----------
    colours : (B, C, H, W) already multiplied by their weight
    weight : (B, 1, H, W) 0 to 1

    Returns
    -------
    (B, C, H, W)
    """
    size = colours.shape[-2:]
    if min(size) == 1:
        return colours.sum((-2, -1), keepdim=True) / weight.sum((-2, -1), keepdim=True).clamp(min=1e-6)
    coarse = spread_colours(
        functional.avg_pool2d(colours, 2, ceil_mode=True), functional.avg_pool2d(weight, 2, ceil_mode=True)
    )
    smooth = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
    near = mean_around(colours, 1)
    near_weight = mean_around(weight, 1)
    certain = (near_weight * 4).clamp(max=1.0) * (near_weight > 1e-6)
    return torch.addcmul(near * (certain / near_weight.clamp(min=1e-6)), smooth, 1 - certain)
