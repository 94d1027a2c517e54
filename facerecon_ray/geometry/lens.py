"""What is known of the camera before a face is fitted: how far people stand from it, and the photo's own focal length.

Nearness makes a face's picture wide in the middle: from 0.4 m the nose is a fifth larger than the ears. A landmark fit
alone can hardly tell that from a person with a large nose, so what is known of the lens counts.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

USUAL_DISTANCE, DISTANCE_SPREAD = 1.2, 0.6
"""Metres from which people are photographed, and the standard deviation of its logarithm: arm's length selfies at 0.4,
portraits from 1 to 2, groups to 4; so 90 % lie between 0.45 and 3.2. An assumption: no survey was found."""

FOCAL_SPREAD = 0.1
"""Standard deviation of the logarithm of a focal length that a photo states: whole millimetres of phones whose lenses
have 24 or so, what zoom and stabilisers cut off, and lenses that breathe."""

NEAREST, FARTHEST = 0.2, 10.0
"""Metres between which distances are looked for; beyond, a face's picture is the same to a thousandth."""


@dataclass(frozen=True)
class Lens:
    """What is known of B pictures' cameras.

    focal_length   (B,) pixels of the picture in which the points lie; 0 where it is not known
    ray            (B, 2) where the face stands beside the optical axis, over the focal length, in the picture's axes
    """

    focal_length: Tensor
    ray: Tensor

    @staticmethod
    def unknown(count: int, device: torch.device | str = "cpu") -> "Lens":
        """Nothing is known but what distances are usual."""
        return Lens(torch.zeros(count, device=device), torch.zeros(count, 2, device=device))

    def to(self, device: torch.device | str) -> "Lens":
        """Copy on a device."""
        return Lens(self.focal_length.to(device), self.ray.to(device))

    @property
    def known(self) -> Tensor:
        """(B,) bool, where the focal length is known."""
        return self.focal_length > 0

    def usual_distance(self, scale: Tensor) -> Tensor:
        """(B,) metres from which a face with a scale (B,), pixels a metre, is seen most likely."""
        told = (self.focal_length / scale).clamp(NEAREST, FARTHEST)
        return torch.where(self.known, told, torch.full_like(scale, USUAL_DISTANCE))

    def precision(self) -> Tensor:
        """(B, 2, 2) of the logarithms of scale and distance, by what is known of both and of their product."""
        stated = self.known.float() * FOCAL_SPREAD**-2
        usual = torch.full_like(stated, DISTANCE_SPREAD**-2)
        return torch.stack([stated, stated, stated, stated + usual], -1).view(-1, 2, 2)

    def pull(self, scale: Tensor, log_distance: Tensor) -> Tensor:
        """(B, 2) the same precision times what these logarithms are off."""
        focal = torch.where(self.known, self.focal_length, scale)
        off = self.known * (focal / scale).log().sub(log_distance) * FOCAL_SPREAD**-2
        return torch.stack([off, off + (math.log(USUAL_DISTANCE) - log_distance) * DISTANCE_SPREAD**-2], -1)
