"""How far a reconstructed mesh is from the truth, once it has been laid onto it.

The normalised mean error is the mean over the mesh's vertices of ||p - q|| / d. p is a vertex of the aligned mesh, q
the nearest point of the scan's surface (not its nearest vertex, so the scan's tessellation does not matter), and d is
the size of the generated mesh: the square root of width times height of its axis-aligned bounding box after
alignment, seen straight from the front. That is the box size of the face alignment literature (Zhu et al., Face
Alignment Across Large Poses, 2016), taken where the pose of the photo has no influence on it.
"""

from dataclasses import dataclass

import numpy as np

from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.geometry.surface import Surface

NOSE_RADIUS = 0.095
"""Metres around the tip of the nose within which millimetres are measured, as evaluations on MICC Florence do."""

MILLIMETRES = 1000.0


@dataclass(frozen=True)
class MeshErrors:
    """Distances of one mesh to one scan.

    nme     mean of ||p - q|| / d over all vertices
    median  of the same ratios
    p90     their 90th percentile
    mm      mean distance in millimetres of the vertices within 95 mm of the scan's nose tip; nan without any
    box     d in the scan's unit
    """

    nme: float
    median: float
    p90: float
    mm: float
    box: float


def box_size(vertices: np.ndarray) -> float:
    """Square root of width times height of vertices (N, 3) in a frame with x to the side and y up."""
    extent = vertices.max(0) - vertices.min(0)
    return float(np.sqrt(extent[0] * extent[1]))


def mesh_errors(vertices: np.ndarray, scan: Surface, nose_tip: np.ndarray) -> MeshErrors:
    """Score an aligned mesh.

    Parameters
    ----------
    vertices : (N, 3) of the generated mesh in the scan's frame: metres, x to the subject's left, y up, z to the front
    scan : the true surface in the same frame
    nose_tip : (3,) the scan's, metres
    """
    distance = scan.distance(vertices)
    box = box_size(vertices)
    ratio = distance / box
    near = np.linalg.norm(vertices - nose_tip, axis=-1) < NOSE_RADIUS
    mm = float(distance[near].mean() * MILLIMETRES) if near.any() else float("nan")
    return MeshErrors(float(ratio.mean()), float(np.median(ratio)), float(np.quantile(ratio, 0.9)), mm, box)


def corresponding_nme(vertices: np.ndarray, truth: np.ndarray) -> float:
    """The normalised mean error where it is known which point is which: no ICP, no nearest points.

    Parameters
    ----------
    vertices : (N, 3) generated mesh
    truth : (N, 3) the same points of the true surface, x to the side and y up

    Returns
    -------
    mean over the points of ||p - q|| / d after the best similarity transform, d as in `mesh_errors`
    """
    aligned = Similarity.between(vertices, truth).apply(vertices)
    return float(np.linalg.norm(aligned - truth, axis=-1).mean() / box_size(aligned))


def landmark_nme(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Normalised mean error of landmarks in the picture, as the AFLW2000-3D protocol has it.

    Parameters
    ----------
    found, truth : (..., 68, 2) pixels

    Returns
    -------
    (...) mean distance over the square root of width times height of the true landmarks' bounding box
    """
    extent = truth.max(-2) - truth.min(-2)
    return np.asarray(np.linalg.norm(found - truth, axis=-1).mean(-1) / np.sqrt(extent.prod(-1)))
