"""A face region that ends in a smooth line: the border of its triangles zigzags, and every picture of it shows that.

The region is looked at from inside the head, where its border is a ring around the forward axis. The smooth ring is
the lower envelope of the border's reach, smoothed, so that it hardly leaves the region; the outer part of the face is
drawn in to it, along the surface, and the inner part stays.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage, sparse
from scipy.interpolate import LinearNDInterpolator
from scipy.sparse.linalg import spsolve
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
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
    (M, 2) where to read them instead; equal to `uv` in the inner part of the face
    """
    seen, corners = _from_within(points.double().numpy()), triangles.numpy()
    ring = _outer_ring(corners, seen)
    target = _smooth_ring(seen[ring])
    angle, reach = _polar(seen)
    ring_angle, ring_reach = _polar(seen[ring])
    inner = reach < INNER * np.interp(angle, *_sorted(ring_angle, ring_reach), period=2 * np.pi)
    shift = np.zeros_like(seen)
    shift[ring] = target - seen[ring]
    free = ~inner
    free[ring] = False
    shift[free] = _harmonic(corners, shift, free)
    places = uv.double().numpy().copy()
    outer = ~inner
    read = LinearNDInterpolator(seen, places)((seen + shift)[outer])
    places[outer] = np.where(np.isnan(read), places[outer], read)
    return torch.from_numpy(places).to(uv.dtype)


def _from_within(points: np.ndarray) -> np.ndarray:
    """(M, 2) azimuthal equidistant projection, radians from the forward axis, seen from the middle of the back."""
    low, high = points.min(0), points.max(0)
    ray = points - np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    side = np.hypot(ray[:, 0], ray[:, 1])
    return ray[:, :2] * (np.arctan2(side, ray[:, 2]) / np.maximum(side, 1e-12))[:, None]


def _polar(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.arctan2(seen[:, 1], seen[:, 0]), np.hypot(seen[:, 0], seen[:, 1])


def _sorted(angle: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = angle.argsort()
    return angle[order], reach[order]


def _outer_ring(triangles: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Vertices of the outermost border in their order around the region."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    inside = {(int(b), int(a)) for a, b in directed}
    following = {int(a): int(b) for a, b in directed if (int(a), int(b)) not in inside}
    vertex = max(following, key=lambda vertex: float(np.hypot(*seen[vertex])))
    ring: list[int] = []
    while vertex not in ring:
        ring.append(vertex)
        vertex = following[vertex]
    return np.array(ring[ring.index(vertex) :])


def _smooth_ring(ring: np.ndarray) -> np.ndarray:
    """(R, 2) the smooth line's points for those of the border."""
    width = max(3, round(len(ring) * WINDOW))
    angle, reach = _polar(ring)
    angle = np.unwrap(angle)
    even = np.linspace(0.0, 2 * np.pi * np.sign(angle[-1] - angle[0]), len(ring), endpoint=False)
    angle = even + ndimage.uniform_filter1d(angle - even, width, mode="wrap")
    reach = ndimage.uniform_filter1d(ndimage.minimum_filter1d(reach, width, mode="wrap"), width, mode="wrap")
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], -1)


def _harmonic(triangles: np.ndarray, shift: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Shifts of the free vertices, each the mean of its neighbours', where those of all others are given."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = len(shift)
    joined = sparse.csr_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    joined.data[:] = 1.0
    laplacian = sparse.diags(np.asarray(joined.sum(1)).ravel()) - joined
    given = -laplacian[free][:, ~free] @ shift[~free]
    result: np.ndarray = spsolve(laplacian[free][:, free].tocsc(), given)
    return result
