"""Non-rigid registration: a mesh bent onto a surface of another topology, stiff at first and softer step by step.

After Amberg, Romdhani and Vetter, Optimal Step Nonrigid ICP Algorithms for Surface Registration, 2007, with the
Laplacian of the displacement as stiffness: neighbours move alike, whatever the mesh is shaped like. A vertex is drawn
to the plane of its nearest point, so it may slide along the surface; vertices on rims are pinned.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import splu, spsolve

from facerecon_ray.geometry.mesh_topology import edges
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.surface import Surface

STIFFNESS = np.geomspace(300.0, 0.05, 16)
"""Weight of the Laplacian in each step, with the distance to a plane weighing 1."""

REACH = (0.03, 0.006)
"""Metres beyond which a nearest point is none: in the first step and from the middle on."""

FAR = 0.004
"""Distance in metres at which a nearest point counts half."""

SAME_SIDE = 0.5
"""Cosine between the normals below which a nearest point is on another side of the surface."""

SLIDING = 0.05
"""Weight of the distance along the plane: a vertex slides with little resistance."""

PINNED = 20.0
"""Weight of a pin."""


@dataclass(frozen=True, eq=False)
class Target:
    """What some of the mesh's vertices may come to rest on.

    vertices  (N,) bool
    surface   for them
    """

    vertices: np.ndarray
    surface: Surface


def bend_onto(
    vertices: np.ndarray,
    triangles: np.ndarray,
    targets: list[Target],
    pins: np.ndarray,
    places: np.ndarray,
    stiffer: np.ndarray,
) -> np.ndarray:
    """Bend a mesh onto a surface that it already lies near.

    Parameters
    ----------
    vertices : (N, 3) metres
    triangles : (T, 3) over them
    targets : every vertex is in one of them
    pins : (P,) vertices whose places are known
    places : (P, 3) of these vertices, metres
    stiffer : (N,) factor of the stiffness around each vertex

    Returns
    -------
    (N, 3) bent vertices
    """
    count = len(vertices)
    bending = laplacian(count, triangles)
    rigid = sparse.kron(bending.T @ sparse.diags(stiffer) @ bending, sparse.identity(3), "csr")
    held = np.zeros(count)
    held[pins] = PINNED
    pulls = sparse.kron(sparse.diags(held), sparse.identity(3)) + 1e-6 * sparse.identity(3 * count)
    offset = np.zeros((count, 3))
    for step, stiffness in enumerate(STIFFNESS):
        reach = max(REACH[0] * (1.0 - 2.0 * step / len(STIFFNESS)), REACH[1])
        planes, right = _planes(vertices, vertices + offset, triangles, targets, pins, reach)
        right[pins] += PINNED * (places - vertices[pins])
        offset = spsolve((planes + stiffness * rigid + pulls).tocsc(), right.ravel()).reshape(-1, 3)
    return vertices + offset


def laplacian(count: int, triangles: np.ndarray) -> sparse.csr_matrix:
    """(count, count) each vertex's value less the mean of its neighbours'."""
    directed = edges(triangles)
    pairs = np.unique(np.concatenate([directed, directed[:, ::-1]]), axis=0)
    joined = sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(count, count)).tocsr()
    degree = np.asarray(joined.sum(1)).ravel()
    return (sparse.identity(count) - sparse.diags(1.0 / degree.clip(1.0)) @ joined).tocsr()


def membrane(triangles: np.ndarray, known: np.ndarray, sought: np.ndarray) -> np.ndarray:
    """(S, K) how sought vertices move when known ones do: each as the mean of its neighbours, wherever these are.

    Parameters
    ----------
    triangles : (T, 3) of a mesh on which every sought vertex is joined to a known one, in however many steps
    known : (K,) vertices
    sought : (S,) others
    """
    pull = laplacian(int(triangles.max()) + 1, triangles)[sought]
    return -splu(pull[:, sought].tocsc()).solve(pull[:, known].toarray())


def normals_of(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 3) outward unit normals of vertices (N, 3) in the model frame, zeros for those without a triangle."""
    points = torch.from_numpy(np.ascontiguousarray(vertices))[None]
    return vertex_normals(points, torch.from_numpy(triangles), frame="model")[0].numpy()


def _planes(
    vertices: np.ndarray,
    bent: np.ndarray,
    triangles: np.ndarray,
    targets: list[Target],
    pins: np.ndarray,
    reach: float,
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Quadratic form over the offsets, and its right side (N, 3), of the distances to the nearest points' planes."""
    nearest, normals = np.zeros_like(bent), np.zeros_like(bent)
    for target in targets:
        nearest[target.vertices], normals[target.vertices] = target.surface.closest(bent[target.vertices])
    distance = np.linalg.norm(bent - nearest, axis=1)
    same_side = (normals_of(bent, triangles) * normals).sum(1) > SAME_SIDE
    weight = np.where(same_side & (distance < reach), 1.0 / (1.0 + (distance / FAR) ** 2), 0.0)
    weight[pins] = 0.0
    blocks = weight[:, None, None] * (normals[:, :, None] * normals[:, None, :] + SLIDING * np.eye(3))
    count = len(bent)
    form = sparse.bsr_matrix((blocks, np.arange(count), np.arange(count + 1)), shape=(3 * count, 3 * count))
    return form.tocsr(), np.einsum("nij,nj->ni", blocks, nearest - vertices)
