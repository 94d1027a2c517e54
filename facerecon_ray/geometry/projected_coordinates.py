"""The fitted face as a picture that a network can read: at each pixel, which point of the head is there.

Projected normalised coordinate codes: Zhu, Lei, Liu, Shi and Li, "Face alignment across large poses: a 3D solution",
CVPR 2016: the head's mean shape, scaled to the unit cube, gives every vertex a colour; the fitted head is drawn in it.
"""

import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.rasterizer import interpolate, rasterize


def coordinate_codes(model: FaceModel) -> Tensor:
    """(N, 3) place of each vertex of the mean head in its bounding box, 0 to 1 along each axis."""
    low, high = model.mean.amin(0), model.mean.amax(0)
    return (model.mean - low) / (high - low)


@torch.no_grad()
def projected_coordinates(model: FaceModel, codes: Tensor, points: Tensor, size: int) -> Tensor:
    """Draw heads in their codes.

    Parameters
    ----------
    model : gives the mesh
    codes : (N, 3) of `coordinate_codes`
    points : (B, N, 3) the heads in the image frame, pixels
    size : side of the picture in pixels

    Returns
    -------
    (B, 3, size, size) in [0, 1], 0 where there is no head
    """
    fragments = rasterize(points, model.triangles, size, size, cull_back=True)
    return interpolate(fragments, model.triangles, codes).permute(0, 3, 1, 2)
