"""Two views of a face laid out in its UV square by the fitted face: what a network sees that corrects the fit.

Where the fit is right, a feature of the face lies at its own place of the UV square whatever the pose; where it is
wrong, the feature is shifted, and by how much is what the network has to say at that very place. A rotated view that
is drawn from the same fit differs from the crop there by what was filled and repaired; another photo of the person, by
what is wrong in depth.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout

SHAPE_SCALE = 1.5
"""Of the fitted map about its middle, so that a face fills the range from 0 to 1."""


@dataclass(frozen=True)
class FittedViews:
    """Lays out views.

    layout   the face model's UV square
    """

    layout: UvLayout

    @torch.no_grad()
    def __call__(
        self, views: Tensor, first: tuple[Camera, Tensor], second: tuple[Camera, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The fitted faces' position maps, and what a network sees of them.

        Parameters
        ----------
        views : (B, 6, 256, 256) in [0, 1], the crop and its rotated view or the other photo's crop
        first, second : cameras of both views, pixels of their crops, and vertices (B, N, 3) of the fitted heads there,
            metres

        Returns
        -------
        (B, 3, 256, 256) position maps, crop pixels / 256; and (B, 9, 256, 256) in [0, 1], in the UV square: the crop's
        colours, the rotated view's, and the fitted map about its middle; 0 outside the face region
        """
        maps, turned = (self._map(camera.project(vertices)) for camera, vertices in (first, second))
        middle = maps.sum((2, 3), keepdim=True) / self.layout.mask.sum()
        about_middle = (SHAPE_SCALE * (maps - middle) + 0.5).clamp(0.0, 1.0)
        seen = torch.cat([_colours(views[:, :3], maps), _colours(views[:, 3:], turned), about_middle], 1)
        return maps, seen * self.layout.mask

    def _map(self, points: Tensor) -> Tensor:
        return self.layout.position_map(points).permute(0, 3, 1, 2)


def _colours(pictures: Tensor, maps: Tensor) -> Tensor:
    """(B, 3, 256, 256) colours of pictures where position maps lie in them."""
    grid = 2 * maps[:, :2].permute(0, 2, 3, 1) - 1
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
