"""Values spread smoothly over a mesh: each vertex has the weighted mean of its neighbours'.

Weights: mean value coordinates (Floater, Mean value coordinates, 2003), which are positive and keep shapes better than
equal weights.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve


def fill_with_means(vertices: np.ndarray, triangles: np.ndarray, values: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Work out the values of some vertices from those of all others.

    Parameters
    ----------
    vertices : (N, 3)
    triangles : (T, 3) over them
    values : (N, C); those of free vertices are not read
    free : (N,) bool

    Returns
    -------
    (N, C) a copy in which every free vertex has the weighted mean of its neighbours
    """
    weights = _mean_value_weights(vertices, triangles)
    laplacian = (sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights).tocsr()[free]
    filled = values.copy()
    filled[free] = spsolve(laplacian[:, free].tocsc(), -(laplacian[:, ~free] @ values[~free]))
    return filled


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
