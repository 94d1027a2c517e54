"""A face region that ends in a smooth line: the border of its triangles zigzags, and every picture of it shows that.

The region is looked at from inside the head, where its border is a ring around the forward axis. The smooth ring is
the lower envelope of the border's reach, smoothed, so that it hardly leaves the region; the outer part of the face is
drawn in to it, along the surface, and the inner part stays.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.interpolate import LinearNDInterpolator
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mean_values import fill_with_means
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.position_map import UvLayout

WINDOW = 1 / 13
"""Share of the border's vertices over which the envelope is taken and smoothed."""

INNER = 0.75
"""Share of the way to the border within which nothing moves."""


@dataclass(frozen=True)
class SmoothBorder:
    """Where to read position maps for meshes with a smooth border; M vertices and P pixels of a `UvLayout`.

    vertex_uv   (M, 2) places in the UV square for the face region's vertices
    pixel_uv    (P, 2) for the pixels, drawn along with the vertices around them
    """

    vertex_uv: Tensor
    pixel_uv: Tensor

    @staticmethod
    def of(model: FaceModel, layout: UvLayout) -> "SmoothBorder":
        """Work out the border of a model, on the CPU."""
        uv = smooth_uv(model.mean[layout.vertices], layout.vertex_uv, layout.triangles)
        return SmoothBorder(uv, layout.over_pixels(uv[None])[0])


def smooth_uv(points: Tensor, uv: Tensor, triangles: Tensor) -> Tensor:
    """Places in the UV square for a face region's vertices such that its border is smooth.

    Parameters
    ----------
    points : (M, 3) the region's vertices on the mean face, model frame, metres
    uv : (M, 2) where they lie in the UV square
    triangles : (F, 3) int64 over them

    Returns
    -------
    (M, 2) where to read them instead; equal to `uv` in the inner part of the face, and everywhere if the border
    touches itself
    """
    seen, corners = _from_within(points.double().numpy()), triangles.numpy()
    try:
        ring = max(boundary_loops(corners), key=lambda loop: np.linalg.norm(seen[loop], axis=1).max())
    except ValueError:
        return uv
    angle, ring_angle = (np.arctan2(places[:, 1], places[:, 0]) for places in (seen, seen[ring]))
    reach = np.linalg.norm(seen, axis=1)
    order = ring_angle.argsort()
    border = np.interp(angle, ring_angle[order], reach[ring][order], period=2 * np.pi)
    shift = np.zeros_like(seen)
    shift[ring] = _smooth_ring(ring_angle, reach[ring]) - seen[ring]
    free = reach >= INNER * border
    free[ring] = False
    shift = fill_with_means(points.double().numpy(), corners, shift, free)
    moved = shift.any(1)
    found = uv.double().numpy().copy()
    read = LinearNDInterpolator(seen, found)((seen + shift)[moved])
    found[moved] = np.where(np.isnan(read), found[moved], read)
    return torch.from_numpy(found).to(uv.dtype)


def _from_within(points: np.ndarray) -> np.ndarray:
    """(M, 2) azimuthal equidistant projection, radians from the forward axis, seen from the middle of the back."""
    low, high = points.min(0), points.max(0)
    ray = points - np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    side = np.hypot(ray[:, 0], ray[:, 1])
    return ray[:, :2] * (np.arctan2(side, ray[:, 2]) / np.maximum(side, 1e-12))[:, None]


def _smooth_ring(angle: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(R, 2) the smooth line's points for those of the border, which are given by angle and distance from the axis."""
    width = max(3, round(len(angle) * WINDOW))
    angle = np.unwrap(angle)
    even = np.linspace(0.0, 2 * np.pi * np.sign(angle[-1] - angle[0]), len(angle), endpoint=False)
    angle = even + ndimage.uniform_filter1d(angle - even, width, mode="wrap")
    reach = ndimage.uniform_filter1d(ndimage.minimum_filter1d(reach, width, mode="wrap"), width, mode="wrap")
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1)
