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

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.turned_view import recentred, target_angles

SHAPE_SCALE = 1.5
"""Of the fitted map about its middle, so that a face fills the range from 0 to 1."""


@dataclass(frozen=True)
class FittedViews:
    """Lays out views.

    model       gives the mesh
    layout      its UV square
    yaw_change  degrees by which the rotate stage turned the faces
    keep_pitch  whether it kept their pitch
    """

    model: FaceModel
    layout: UvLayout
    yaw_change: float
    keep_pitch: bool

    @torch.no_grad()
    def __call__(
        self, views: Tensor, camera: Camera, vertices: Tensor, other: tuple[Camera, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The fitted faces' position maps, and what a network sees of them.

        Parameters
        ----------
        views : (B, 6, 256, 256) in [0, 1], the crop and its rotated view or the other photo's crop
        camera : fitted cameras, pixels of the crop
        vertices : (B, N, 3) fitted heads, metres
        other : cameras and heads of the second views where these are photos too; without them, views that the rotate
            stage has made of the first

        Returns
        -------
        (B, 3, 256, 256) position maps, crop pixels / 256; and (B, 9, 256, 256) in [0, 1], in the UV square: the crop's
        colours, the rotated view's, and the fitted map about its middle; 0 outside the face region
        """
        points = camera.project(vertices)
        maps = self._map(points)
        turned_camera, turned_vertices = other or (self._turned(camera, vertices, points), vertices)
        turned = self._map(turned_camera.project(turned_vertices))
        middle = maps.sum((2, 3), keepdim=True) / self.layout.mask.sum()
        about_middle = (SHAPE_SCALE * (maps - middle) + 0.5).clamp(0.0, 1.0)
        seen = torch.cat([_colours(views[:, :3], maps), _colours(views[:, 3:], turned), about_middle], 1)
        return maps, seen * self.layout.mask

    def _turned(self, camera: Camera, vertices: Tensor, points: Tensor) -> Camera:
        """Cameras of the views that the rotate stage has made."""
        angles, face = target_angles(camera.angles, self.yaw_change, self.keep_pitch), self.model.face_vertices
        return recentred(camera, angles, vertices[:, face], points[:, face])

    def _map(self, points: Tensor) -> Tensor:
        return self.layout.position_map(points).permute(0, 3, 1, 2)


def _colours(pictures: Tensor, maps: Tensor) -> Tensor:
    """(B, 3, 256, 256) colours of pictures where position maps lie in them."""
    grid = 2 * maps[:, :2].permute(0, 2, 3, 1) - 1
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
