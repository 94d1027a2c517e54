"""Statistics of heads: laid on each other, their principal components, and the same to the bit every time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh

from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.synthesis.model_building.face_layout import mirrored_vertices, origin_height
from facerecon_ray.synthesis.people.head_topology import HeadTopology

FACE_WEIGHT = 4.0
"""Squared errors in the face region count this much more than elsewhere in the principal components."""

EXPRESSION_DEVIATION = 0.3
"""Activation of a blendshape that counts as one standard deviation; activations go from 0 to 1."""

HEAD_TILT = 10.0
"""Degrees by which anny's neutral head looks up: the median pitch of its fits to 812 official portraits."""


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """Mean, components and expressions over all vertices of a `HeadTopology`, caps included.

    mean              (N, 3) metres, model frame
    mirror            (N,) the vertex at the mirrored place
    face              (F,) indices of the face region's triangles
    shape             (S, N, 3) displacement for one standard deviation of each shape component
    explained         share of the face's variance that they explain
    expression        (E, N, 3) displacement for one standard deviation of each expression
    expression_names  E names
    recipe            what the model's recipe says of them
    """

    mean: np.ndarray
    mirror: np.ndarray
    face: np.ndarray
    shape: np.ndarray
    explained: float
    expression: np.ndarray
    expression_names: list[str]
    recipe: dict[str, Any]


def align_heads(surfaces: np.ndarray, topology: HeadTopology) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Symmetric mean (N, 3), mirrored vertex of each vertex (N,), and the heads aligned to the mean (2B, N, 3).

    Every head enters twice, as it is and mirrored, so the statistics know no side. The origin lies at about the height
    of the nose's tip, in the middle of the vertices' depth: about 7 cm behind the tip.
    """
    level = rotation_from_angles(torch.tensor([0.0, -HEAD_TILT, 0.0])).numpy()
    mean = (surfaces[0] - surfaces[0].mean(0)) @ level.T
    for _ in range(3):
        aligned = apply_alignment(surfaces, *align(surfaces, np.broadcast_to(mean, surfaces.shape)))
        size = np.linalg.norm(surfaces - surfaces.mean(1, keepdims=True), axis=(1, 2)).mean()
        mean = aligned.mean(0)
        mean = (mean - mean.mean(0)) * (size / np.linalg.norm(mean - mean.mean(0)))
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    mirror = mirrored_vertices(mean, topology)
    both = np.concatenate([aligned, aligned[:, mirror] * flip])
    mean = both.mean(0)
    both = apply_alignment(both, *align(both, np.broadcast_to(mean, both.shape)))
    scale = size / np.linalg.norm(mean - mean.mean(0))
    mean, both = both.mean(0) * scale, both * scale
    origin = np.array([0.0, origin_height(mean, topology), mean[:, 2].mean()], np.float32)
    return (mean - origin).astype(np.float32), mirror, (both - origin).astype(np.float32)


def principal_components(rows: np.ndarray, face: np.ndarray, count: int) -> tuple[np.ndarray, float]:
    """Principal components of deviations from a mean, largest first.

    The eigenvectors are those of the smaller of the two products of the rows with themselves, so nothing is drawn at
    random; their signs make the first large entry positive.

    Parameters
    ----------
    rows : (R, N, 3) deviations, metres, weighted so that the sum of their squares is the variance
    face : vertices of the face region
    count : number of components, at most R

    Returns
    -------
    (count, N, 3) displacement for one standard deviation, and the explained share of the face's variance
    """
    weight = np.ones(rows.shape[1])
    weight[face] = np.sqrt(FACE_WEIGHT)
    flat = (rows * weight[:, None]).reshape(len(rows), -1).astype(np.float64)
    by_row = len(flat) <= flat.shape[1]
    product = flat @ flat.T if by_row else flat.T @ flat
    variance, vectors = eigh(product, subset_by_index=(len(product) - count, len(product) - 1))
    vectors = vectors[:, ::-1]
    scaled = vectors.T @ flat if by_row else vectors.T * np.sqrt(variance[::-1, None].clip(0.0))
    size = np.abs(scaled)
    large = (size >= size.max(1, keepdims=True) / 2).argmax(1)
    scaled = scaled * np.sign(scaled[np.arange(count), large])[:, None]
    basis = scaled.reshape(count, -1, 3) / weight[:, None]
    return basis, float((basis[:, face] ** 2).sum() / (rows[:, face].astype(np.float64) ** 2).sum())


def without_similarity(offsets: np.ndarray, mean: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(K, N, 3) small offsets less what turning, moving and scaling the head explains of the face region's."""
    centred = mean - mean[face].mean(0)
    turns = [np.cross(axis, centred) for axis in np.eye(3)]
    moves = [np.broadcast_to(axis, mean.shape) for axis in np.eye(3)]
    ways = np.stack([*turns, *moves, centred])
    on_face = ways[:, face].reshape(len(ways), -1)
    shares = np.linalg.solve(on_face @ on_face.T, on_face @ offsets[:, face].reshape(len(offsets), -1).T)
    return np.asarray(offsets - np.einsum("gk,gnc->knc", shares, ways))


def laid_on_face(heads: np.ndarray, mean: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(B, N, 3) heads moved, turned and scaled so that their face region lies best on the mean's."""
    target = np.broadcast_to(mean[face], (len(heads), len(face), 3))
    return apply_alignment(heads, *align(heads[:, face], target))
