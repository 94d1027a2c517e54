"""Tutte embedding: a disc of triangles flattened onto the unit square without folds.

Tutte, How to Draw a Graph, 1963: with a convex border and positive weights, every inner vertex at the weighted mean of
its neighbours gives a flat drawing without crossings.
"""

import numpy as np

from facerecon_ray.geometry.mean_values import fill_with_means
from facerecon_ray.geometry.mesh_topology import boundary_loops


def tutte_square(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Embed a disc in the unit square, upright as seen from the front.

    Parameters
    ----------
    vertices : (N, 3) x to the subject's left, y up, z to the front; every vertex is used
    triangles : (T, 3) one part with one boundary loop

    Returns
    -------
    (N, 2) u from the picture's left to its right in a frontal view, v from the top down, both 0 to 1
    """
    (loop,) = boundary_loops(triangles)
    uv = np.zeros((len(vertices), 2))
    uv[loop] = _border_on_square(vertices[loop])
    inner = np.ones(len(vertices), bool)
    inner[loop] = False
    return fill_with_means(vertices, triangles, uv, inner)


def _border_on_square(points: np.ndarray) -> np.ndarray:
    """(n, 2) places on the square's border: corners at the diagonals, between them by length along the loop."""
    flat = np.stack([points[:, 0], -points[:, 1]], axis=1)
    flat = (flat - (flat.max(0) + flat.min(0)) / 2) / np.ptp(flat, axis=0)
    square = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
    at_corner = np.array(
        [
            int(((flat / (2 * np.linalg.norm(flat, axis=1, keepdims=True)) - (corner - 0.5)) ** 2).sum(1).argmin())
            for corner in square
        ]
    )
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    border = np.zeros((len(points), 2))
    order = np.argsort(at_corner)
    for this, following in zip(order, np.roll(order, -1), strict=True):
        count = (at_corner[following] - at_corner[this]) % len(points)
        index = (at_corner[this] + np.arange(count)) % len(points)
        share = np.concatenate([[0.0], np.cumsum(steps[index])[:-1]]) / steps[index].sum()
        border[index] = square[this] + share[:, None] * (square[following] - square[this])
    return border
