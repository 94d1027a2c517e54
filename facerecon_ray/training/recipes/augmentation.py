"""Random changes of training pictures, for whole batches: where the face lies, and how it was photographed.

Every random number is drawn on the CPU from the generator that is given, so that a step can be repeated.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.config.training import AugmentationSettings

CONTRAST_PIVOT = 0.45
MOST_BLUR = 4.0
"""Largest factor by which a picture loses resolution."""
ERASED = (0.15, 0.5)
"""Sides of a covered rectangle, as shares of the picture."""


@dataclass(frozen=True)
class Placement:
    """Where crops are moved: first mirrored, then enlarged, turned about their middle and shifted.

    zoom      (B,) factor
    roll      (B,) degrees, clockwise
    shift     (B, 2) pixels of the crop
    mirrored  (B,) bool
    size      side of the crop, pixels
    """

    zoom: Tensor
    roll: Tensor
    shift: Tensor
    mirrored: Tensor
    size: int

    @staticmethod
    def draw(settings: AugmentationSettings, rows: int, size: int, random: torch.Generator) -> "Placement":
        """Random placements of a batch, on the CPU."""
        zoom = (_symmetric(random, rows) * math.log(settings.zoom)).exp()
        roll = _symmetric(random, rows) * settings.roll
        shift = _symmetric(random, rows, 2) * settings.shift * size
        mirrored = torch.rand(rows, generator=random) < (0.5 if settings.mirror else 0.0)
        return Placement(zoom, roll, shift, mirrored, size)

    def part(self, rows: slice) -> "Placement":
        """Those of some rows."""
        return Placement(self.zoom[rows], self.roll[rows], self.shift[rows], self.mirrored[rows], self.size)

    def to(self, device: torch.device) -> "Placement":
        """Copy on a device."""
        return Placement(
            self.zoom.to(device), self.roll.to(device), self.shift.to(device), self.mirrored.to(device), self.size
        )

    def linear(self) -> Tensor:
        """(B, 2, 2) how directions of the crop turn and grow, without the mirroring."""
        angle = torch.deg2rad(self.roll)
        cosine, sine = self.zoom * angle.cos(), self.zoom * angle.sin()
        return torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], 1)

    def move(self, points: Tensor) -> Tensor:
        """(B, N, 2 or 3) points of the crops, pixels, where they come to lie; depths grow with the crop."""
        middle = self.size / 2
        x = torch.where(self.mirrored[:, None], self.size - points[..., 0], points[..., 0])
        flat = torch.stack([x, points[..., 1]], -1) - middle
        moved = flat @ self.linear().mT + middle + self.shift[:, None]
        return torch.cat([moved, points[..., 2:] * self.zoom[:, None, None]], -1)

    def pictures(self, pictures: Tensor, size: int) -> Tensor:
        """Crops (B, C, H, H) as moved, (B, C, size, size); beyond a crop its border is repeated."""
        inverse = torch.linalg.inv(self.linear())
        offset = -(inverse @ (2 * self.shift / self.size)[..., None])
        matrix = torch.cat([inverse, offset], -1)
        sign = torch.where(self.mirrored, -1.0, 1.0)
        matrix = torch.cat([matrix[:, :1] * sign[:, None, None], matrix[:, 1:]], 1)
        grid = functional.affine_grid(matrix, [len(pictures), 1, size, size], align_corners=False)
        shrink = pictures.shape[-1] // size
        smaller = functional.avg_pool2d(pictures, shrink) if shrink > 1 else pictures
        return functional.grid_sample(smaller, grid, padding_mode="border", align_corners=False)


def photographed(pictures: Tensor, settings: AugmentationSettings, random: torch.Generator) -> Tensor:
    """Pictures under other light and through other cameras.

    Parameters
    ----------
    pictures : (B, V, 3, H, W) in [0, 1], V views of each row, which are changed alike but for noise and covers

    Returns
    -------
    the same shape, in [0, 1]
    """
    rows, views, _, height, width = pictures.shape
    device = pictures.device

    def share(value: float) -> Tensor:
        return (torch.rand(rows, generator=random) < value).to(device)[:, None, None, None, None]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(rows, *shape, generator=random)).to(device)

    grey = pictures.mean(2, keepdim=True).expand_as(pictures)
    pictures = torch.where(share(settings.grey_share), grey, pictures)
    pictures = _coarse(pictures, settings.blur_share, random)
    pictures = pictures * uniform(*settings.channels, 1, 3, 1, 1)
    contrast = uniform(1.0 - settings.contrast, 1.0 + settings.contrast, 1, 1, 1, 1)
    pictures = (pictures - CONTRAST_PIVOT) * contrast + CONTRAST_PIVOT
    strength = uniform(0.0, 1.0, 1, 1, 1, 1).square() * settings.noise
    noise = torch.randn(rows, views, 3, height, width, generator=random).to(device)
    pictures = (pictures + noise * strength).clamp(0.0, 1.0)
    cover = _rectangles(rows, views, height, width, random).to(device) & share(settings.erase_share)[..., :1, :, :]
    pictures = torch.where(cover, uniform(0.0, 1.0, 1, 3, 1, 1), pictures)
    if settings.dropout > 0.0:
        kept = torch.rand(rows, views, 1, height, width, generator=random) >= settings.dropout
        pictures = pictures * kept.to(device)
    return pictures


def _coarse(pictures: Tensor, share: float, random: torch.Generator) -> Tensor:
    """A share of the rows with less resolution."""
    chosen = (torch.rand(len(pictures), generator=random) < share).nonzero()[:, 0].to(pictures.device)
    factor = 1.0 + (MOST_BLUR - 1.0) * float(torch.rand(1, generator=random))
    if not len(chosen):
        return pictures
    some = pictures[chosen].flatten(0, 1)
    size = some.shape[-2:]
    small = functional.interpolate(some, size=[max(1, int(side / factor)) for side in size], mode="area")
    coarse = functional.interpolate(small, size=size, mode="bilinear", align_corners=False)
    result = pictures.clone()
    result[chosen] = coarse.view(-1, *pictures.shape[1:])
    return result


def _rectangles(rows: int, views: int, height: int, width: int, random: torch.Generator) -> Tensor:
    """(B, V, 1, H, W) bool, true in one rectangle of each picture."""
    low, high = ERASED

    def spans(side: int) -> Tensor:
        length = low + (high - low) * torch.rand(rows, views, 1, generator=random)
        start = torch.rand(rows, views, 1, generator=random) * 1.2 - 0.1 - length / 2
        place = (torch.arange(side) + 0.5) / side
        return (place >= start) & (place < start + length)

    return (spans(height)[..., None] & spans(width)[..., None, :])[:, :, None]


def _symmetric(random: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.rand(*shape, generator=random) - 1
