"""Tutte embedding: a disc of triangles flattened onto the unit square without folds.

Tutte, How to Draw a Graph, 1963: with a convex border and positive weights, every inner vertex at the weighted mean of
its neighbours gives a flat drawing without crossings. Weights: mean value coordinates (Floater, Mean value
coordinates, 2003), which are positive and keep shapes better than equal weights.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

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
    border = _border_on_square(vertices[loop])
    weights = _mean_value_weights(vertices, triangles)
    inner = np.setdiff1d(np.arange(len(vertices)), loop)
    laplacian = sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights
    laplacian = laplacian.tocsr()
    uv = np.zeros((len(vertices), 2))
    uv[loop] = border
    uv[inner] = spsolve(laplacian[inner][:, inner].tocsc(), -(laplacian[inner][:, loop] @ border))
    return uv


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


def _mean_value_weights(vertices: np.ndarray, triangles: np.ndarray) -> sparse.csr_matrix:
    """(N, N) weights tan(left angle / 2) + tan(right angle / 2) over the edge's length."""
    count = len(vertices)
    rows, columns, values = [], [], []
    for corner in range(3):
        a, b, c = (triangles[:, (corner + k) % 3] for k in range(3))
        to_b, to_c = vertices[b] - vertices[a], vertices[c] - vertices[a]
        length_b, length_c = np.linalg.norm(to_b, axis=1), np.linalg.norm(to_c, axis=1)
        cosine = (to_b * to_c).sum(1) / (length_b * length_c)
        half_tangent = np.sqrt((1 - cosine).clip(0) / (1 + cosine).clip(1e-9))
        rows += [a, a]
        columns += [b, c]
        values += [half_tangent / length_b, half_tangent / length_c]
    matrix = sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    )
    return matrix.tocsr()
