"""What the face model knows about its mesh: the face region, its UV layout, regions, mirrored vertices."""

import numpy as np
from scipy.spatial import cKDTree

from facerecon_ray.geometry.face_model import REGIONS
from facerecon_ray.geometry.mesh_topology import without_pinches
from facerecon_ray.geometry.nonrigid_registration import normals_of
from facerecon_ray.geometry.tutte import tutte_square
from facerecon_ray.synthesis.people.head_topology import HeadTopology

NORMAL_REACH = 0.003
"""Metres that a unit of difference between normals counts like, where the mirrored vertex is looked for."""


def nose_tip(mean: np.ndarray, topology: HeadTopology) -> np.ndarray:
    """(3,) the foremost point between mouth and eyes."""
    right_eye, left_eye, mouth = (mean[vertices].mean(0) for vertices in topology.eye_and_mouth_vertices)
    between = (mean[:, 1] > mouth[1] + 0.015) & (mean[:, 1] < (right_eye[1] + left_eye[1]) / 2)
    candidates = mean[between]
    return candidates[candidates[:, 2].argmax()]


def origin_height(mean: np.ndarray, topology: HeadTopology) -> float:
    """Height of the model's origin: half-way between the openings of the eyes and the mouth, about the nose's tip."""
    right_eye, left_eye, mouth = (mean[vertices, 1].mean() for vertices in topology.eye_and_mouth_vertices)
    return float(((right_eye + left_eye) / 2 + mouth) / 2)


def face_region(mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,) indices of the triangles of the face: a rounded window in angle and height, one disc without pinches."""
    half_height, middle, axis_depth = 0.083, -0.004, -0.05
    angle = np.degrees(np.arctan2(mean[:, 0], mean[:, 2] - axis_depth))
    window = np.abs(angle / 75.0) ** 3 + np.abs((mean[:, 1] - middle) / half_height) ** 3 < 1.0
    kept = without_pinches(triangles[window[triangles].all(1)])
    index = {tuple(triangle): i for i, triangle in enumerate(triangles.tolist())}
    return np.array(sorted(index[tuple(triangle)] for triangle in kept.tolist()))


def uv_layout(mean: np.ndarray, face: np.ndarray) -> np.ndarray:
    """(N, 2) place of each vertex of a face region (F, 3) in the UV square, nan for all others."""
    index = np.unique(face)
    renumber = np.zeros(len(mean), int)
    renumber[index] = np.arange(len(index))
    uv = np.full((len(mean), 2), np.nan)
    uv[index] = tutte_square(mean[index], renumber[face])
    return uv


def regions_of(mean: np.ndarray, topology: HeadTopology, face: np.ndarray) -> np.ndarray:
    """(N,) uint8 index into REGIONS; nose and lips by distance from the nose's tip and the lips' rim, in metres."""
    number = {name: i for i, name in enumerate(REGIONS)}
    right_eye, left_eye, mouth = topology.eye_and_mouth_vertices
    nose = nose_tip(mean, topology)
    angle = np.degrees(np.arctan2(np.abs(mean[:, 0]), mean[:, 2] + 0.05))
    regions = np.full(len(mean), number["scalp"], np.uint8)
    regions[(mean[:, 1] < -0.06) | ((mean[:, 1] < -0.03) & (angle < 110.0))] = number["neck"]
    regions[(np.abs(angle - 97.0) < 17.0) & (np.abs(mean[:, 1]) < 0.04)] = number["ears"]
    regions[face] = number["skin"]
    from_nose = np.linalg.norm((mean - nose + [0.0, 0.0, 0.012]) / [0.02, 0.03, 0.03], axis=1)
    regions[face[from_nose[face] < 1.0]] = number["nose"]
    to_mouth = cKDTree(mean[mouth]).query(mean)[0]
    regions[face[to_mouth[face] < 0.008]] = number["lips"]
    for name, vertices in (("right_eye", right_eye), ("left_eye", left_eye), ("mouth", mouth)):
        regions[vertices] = number[name]
    return regions


def mirrored_vertices(mean: np.ndarray, topology: HeadTopology) -> np.ndarray:
    """(N,) the vertex nearest to the mirrored place that faces the mirrored way; caps and skin apart.

    Lips that touch, lids and their margins, and the two sides of an ear's edge differ by where they face.
    """
    part = np.zeros(len(mean))
    for number, vertices in enumerate(topology.eye_and_mouth_vertices):
        part[vertices] = 2.0 if number == 2 else 1.0
    flip = np.array([-1.0, 1.0, 1.0])
    normals = normals_of(mean.astype(np.float64), topology.triangles) * NORMAL_REACH
    own = np.column_stack([mean, normals, part])
    seen = np.column_stack([mean * flip, normals * flip, part])
    return cKDTree(own).query(seen)[1]
