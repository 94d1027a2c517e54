"""A grid around the head, from the crown down, on which hair and headwear are built as shells.

Columns go around the head, rows from the crown downward. Where a ray from the middle of the skull leaves the average
head is looked up once; on a subject's head the same points of the skin carry the grid.
"""

from dataclasses import dataclass

import numpy as np

from facerecon_ray.synthesis.appearance.round_shapes import grid_triangles
from facerecon_ray.synthesis.people.head_geometry import ISLANDS, HeadGeometry
from facerecon_ray.synthesis.people.person import Subject

COLUMNS = 61
"""Directions around the head: from the back over the subject's right side, the front and the left to the back."""

TABLE_ROWS, LOWEST = 42, 158.0
"""Rows of the table and its last angle from the crown, degrees."""

MIDDLE = np.array([0.0, 0.035, -0.05], np.float32)
"""From where the rays start: inside the skull of the average head."""


@dataclass(frozen=True, eq=False)
class Shell:
    """A grid of points, from the top row down.

    vertices  (R, C, 3) metres, head frame
    along     (R, C) how far each point is down its column, 0 to 1
    offset    (R, C, 3) from the skin below to the vertices
    """

    vertices: np.ndarray
    along: np.ndarray
    offset: np.ndarray

    def triangles(self) -> np.ndarray:
        """(T, 3) int64, counter-clockwise seen from outside."""
        return grid_triangles(*self.along.shape)

    def uv(self, repeats: float = 1.0) -> np.ndarray:
        """(R * C, 2) texture coordinates: u around the head, v down along the columns."""
        rows, columns = self.along.shape
        u = np.broadcast_to(np.linspace(0.0, repeats, columns), (rows, columns))
        return np.stack([u.ravel(), self.along.ravel()], 1).astype(np.float32)

    def points(self) -> np.ndarray:
        """(R * C, 3) float32 vertices as a list."""
        return self.vertices.reshape(-1, 3).astype(np.float32)


class ScalpGrid:
    """Where the grid's rays leave the head."""

    def __init__(self, geometry: HeadGeometry) -> None:
        self.directions = np.linspace(-180.0, 180.0, COLUMNS)
        head = geometry.triangles_of_island(ISLANDS.index("head"))
        triangles = geometry.skin.source[geometry.skin.triangles[head]]
        polar = np.radians(np.linspace(0.5, LOWEST, TABLE_ROWS))[:, None]
        around = np.radians(self.directions)[None]
        rays = np.stack(
            np.broadcast_arrays(np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)), -1
        ).reshape(-1, 3)
        owner, weights = _leave(geometry.average, triangles, MIDDLE, rays.astype(np.float32))
        self._corners, self._weights = triangles[owner], weights
        self.chin = np.linalg.norm(geometry.average - geometry.landmarks[8], axis=1).argsort()[:10]
        self._average = self._at(geometry.average)

    def _at(self, vertices: np.ndarray) -> np.ndarray:
        """(TABLE_ROWS, COLUMNS, 3) grid points on a head (V, 3)."""
        points = np.einsum("kc,kcd->kd", self._weights, vertices[self._corners])
        return points.reshape(TABLE_ROWS, COLUMNS, 3)

    def row_at_height(self, height: np.ndarray) -> np.ndarray:
        """(C,) row of the table, as a fraction, where columns pass heights (C,) on the average head, or the last."""
        y = self._average[..., 1]
        lower = y < height[None]
        first = np.where(lower.any(0), lower.argmax(0).clip(1), TABLE_ROWS - 1)
        columns = np.arange(COLUMNS)
        above, below = y[first - 1, columns], y[first, columns]
        return first - ((height - below) / np.minimum(below - above, -1e-6) * -1.0).clip(0.0, 1.0)

    def shell(self, subject: Subject, end: np.ndarray, rows: int, thickness: np.ndarray) -> Shell:
        """A shell over a subject's head.

        Parameters
        ----------
        subject : whose head, without its expression
        end : (C,) row of the table at which each column ends
        rows : of the shell
        thickness : (rows, C) metres over the skin
        """
        table = self._at(subject.neutral)
        along = np.broadcast_to(np.linspace(0.0, 1.0, rows)[:, None], (rows, COLUMNS))
        place = along * end[None]
        low = place.astype(int).clip(0, TABLE_ROWS - 2)
        share = (place - low)[..., None]
        columns = np.arange(COLUMNS)[None]
        points = table[low, columns] * (1.0 - share) + table[low + 1, columns] * share
        outward = points - MIDDLE
        outward = outward / np.linalg.norm(outward, axis=-1, keepdims=True)
        offset = outward * thickness[..., None]
        return Shell(points + offset, along, offset)


def _leave(
    vertices: np.ndarray, triangles: np.ndarray, start: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Triangle (K,) and barycentric weights (K, 3) where rays (K, 3) leave the mesh for good.

    The test of Moeller and Trumbore, Fast, minimum storage ray-triangle intersection, 1997. A ray that misses takes
    the answer of the ray before it.
    """
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    edge1, edge2, offset = b - a, c - a, start - a
    q = np.cross(offset, edge1)
    reach = (edge2 * q).sum(1)
    owner, weights = np.zeros(len(rays), int), np.zeros((len(rays), 3), np.float32)
    for k, ray in enumerate(rays):
        p = np.cross(ray, edge2)
        determinant = (edge1 * p).sum(1)
        inverse = 1.0 / np.where(np.abs(determinant) < 1e-14, 1e-14, determinant)
        u, v, t = (offset * p).sum(1) * inverse, (q @ ray) * inverse, reach * inverse
        hit = np.flatnonzero((u >= -1e-6) & (v >= -1e-6) & (u + v <= 1.000001) & (t > 0.0))
        if len(hit):
            last = hit[t[hit].argmax()]
            owner[k], weights[k] = last, (1.0 - u[last] - v[last], u[last], v[last])
        else:
            owner[k], weights[k] = owner[k - COLUMNS], weights[k - COLUMNS]
    return owner, weights
