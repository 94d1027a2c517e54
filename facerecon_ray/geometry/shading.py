"""Smooth normals, plain lighting and clay pictures of meshes."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from facerecon_ray.geometry.rasterizer import interpolate, rasterize

HEADLIGHT = (0.0, 0.0, 1.0)
SIDE_LIGHT = (-0.62, -0.55, 0.56)
"""Directions to the lights in the image frame; the side light stands above on the left."""

AMBIENT_SHARE, HEADLIGHT_SHARE, SIDE_SHARE = 0.15, 0.42, 0.53

CLAY = (0.88, 0.86, 0.84)
"""Display red, green and blue of clay where it is brightest."""

SUPERSAMPLING = 2


def vertex_normals(points: Tensor, triangles: Tensor, frame: Literal["image", "model"] = "image") -> Tensor:
    """Outward normals of vertices: the sum of the adjacent triangles' normals weighted by area.

    Parameters
    ----------
    points : (B, N, 3)
    triangles : (T, 3) int64, counter-clockwise seen from outside
    frame : of the points; the image frame, where y points down, is mirrored against the model frame, and so the same
        corners go round the other way

    Returns
    -------
    (B, N, 3) unit vectors in the same frame, zeros for vertices without a triangle
    """
    a, b, c = (points[:, corner] for corner in triangles.T)
    outward = torch.linalg.cross(b - a, c - a, dim=-1) * (-1.0 if frame == "image" else 1.0)
    sums = torch.zeros_like(points)
    for corner in triangles.T:
        sums.index_add_(1, corner, outward)
    length = sums.norm(dim=-1, keepdim=True)
    return sums / length.where(length > 0, 1.0)


def shade(normals: Tensor) -> Tensor:
    """Brightness of a matt surface under a headlight and a soft, large light from above on the left.

    Parameters
    ----------
    normals : (..., 3) image frame, unit length

    Returns
    -------
    (...) between 0 and 1; the soft light's falloff is ((1 + cos) / 2) squared, so that it reaches round the surface
    """
    headlight = normals @ normals.new_tensor(HEADLIGHT)
    side = normals @ normalize(normals.new_tensor(SIDE_LIGHT), dim=0)
    return AMBIENT_SHARE + HEADLIGHT_SHARE * headlight.clamp(min=0) + SIDE_SHARE * ((1 + side) / 2).square()


@torch.no_grad()
def render_clay(points: Tensor, triangles: Tensor, size: int) -> Tensor:
    """Render meshes as grey clay on white, with smooth edges; both sides of open surfaces are drawn.

    Parameters
    ----------
    points : (B, N, 3) image frame, pixels of a picture of size x size
    triangles : (T, 3) int64, counter-clockwise seen from outside
    size : pixels

    Returns
    -------
    (B, size, size, 3) uint8 RGB
    """
    fine = size * SUPERSAMPLING
    fragments = rasterize(points * SUPERSAMPLING, triangles, fine, fine)
    normals = normalize(interpolate(fragments, triangles, vertex_normals(points, triangles)), dim=-1)
    towards_camera = normals * torch.where(normals[..., 2:] < 0, -1.0, 1.0)
    covered = fragments.mask.float()
    brightness, coverage = (avg_pool2d(image, SUPERSAMPLING) for image in (shade(towards_camera) * covered, covered))
    colour = brightness[..., None] * points.new_tensor(CLAY) + (1 - coverage)[..., None]
    return (colour * 255).round().clamp(0, 255).byte()
