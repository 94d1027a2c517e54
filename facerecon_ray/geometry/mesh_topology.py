"""Questions about a triangle list alone, without positions: boundary loops, connected parts, pinches."""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph


def edges(triangles: np.ndarray) -> np.ndarray:
    """(3T, 2) directed edges in the triangles' own winding."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Closed loops of the edges that belong to one triangle only.

    Parameters
    ----------
    triangles : (T, 3) int

    Returns
    -------
    list of (n,) vertex indices in the order of the winding, longest first

    Raises
    ------
    ValueError
        when a vertex lies on two loops (the boundary touches itself)
    """
    directed = edges(triangles)
    _, first, counts = np.unique(np.sort(directed, axis=1), axis=0, return_index=True, return_counts=True)
    border = directed[first[counts == 1]]
    following = dict(border.tolist())
    if len(following) != len(border):
        raise ValueError("the boundary touches itself: a vertex lies on two loops")
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def triangle_parts(triangles: np.ndarray) -> np.ndarray:
    """(T,) label of the edge-connected part that each triangle belongs to."""
    directed = np.sort(edges(triangles), axis=1)
    owner = np.tile(np.arange(len(triangles)), 3)
    order = np.lexsort(directed.T)
    same = (directed[order][1:] == directed[order][:-1]).all(1)
    left, right = owner[order][:-1][same], owner[order][1:][same]
    graph = sparse.coo_matrix((np.ones(len(left)), (left, right)), shape=(len(triangles),) * 2)
    return csgraph.connected_components(graph, directed=False)[1]


def without_pinches(triangles: np.ndarray) -> np.ndarray:
    """Remove triangles until the boundary no longer touches itself and none hangs on by one edge.

    Parameters
    ----------
    triangles : (T, 3) int

    Returns
    -------
    (T', 3) the largest edge-connected part that remains
    """
    while True:
        parts = triangle_parts(triangles)
        triangles = triangles[parts == np.bincount(parts).argmax()]
        directed = edges(triangles)
        keys, inverse, counts = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True, return_counts=True)
        border = keys[counts == 1]
        pinched = np.flatnonzero(np.bincount(border.ravel(), minlength=triangles.max() + 1) > 2)
        open_edges = (counts[inverse.ravel()] == 1).reshape(3, -1).sum(0)
        bad = (open_edges > 1) | (np.isin(triangles, pinched).any(1) & (open_edges > 0))
        if not bad.any():
            return triangles
        triangles = triangles[~bad]
