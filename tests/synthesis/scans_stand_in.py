"""A small model of scans for tests: the embedded head, wider and on a topology of its own, with smooth people."""

from pathlib import Path

import numpy as np
import torch
from scipy.spatial import ConvexHull, KDTree

from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.openings import halves
from facerecon_ray.synthesis.model_building.blendshapes import SIDED, SIDES, UNSIDED
from facerecon_ray.synthesis.model_building.scans_model import PARTS

CAPS = [REGIONS.index(name) for name in ("right_eye", "left_eye")]
WIDER, CENTIMETRES = np.array([1.06, 0.97, 1.02]), 100.0
SMILE, JAW = "mouthSmileLeft", "jawOpen"


def skin_of_the_embedded_model() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices (N, 3), triangles and the rims of the eyes and the mouth, without caps."""
    model = FaceModel.default()
    skin = ~np.isin(model.regions.numpy(), CAPS)
    triangles = model.triangles.numpy()
    triangles = triangles[skin[triangles].all(1)]
    vertices = model.mean.numpy()[: skin.sum()].astype(np.float64)
    rims = sorted(boundary_loops(triangles), key=lambda loop: -vertices[loop, 2].mean())[:3]
    by_side = sorted(rims, key=lambda loop: vertices[loop, 0].mean())
    return vertices, triangles, dict(zip(("right_eye", "mouth", "left_eye"), by_side, strict=True))


def bulge(points: np.ndarray) -> np.ndarray:
    """(N, 3) centimetres by which the first person differs at points in metres: smooth over the head."""
    return 0.4 * np.stack([np.sin(20 * points[:, 1]), np.cos(15 * points[:, 0]), np.sin(12 * points[:, 2])], 1)


def save_scans(path: Path) -> None:
    """Write the file, with landmarks and parts in it; every triangle is cut in four and the vertices are shuffled."""
    vertices, triangles, rims = skin_of_the_embedded_model()
    points, faces = _cut_in_four(vertices * WIDER, triangles)
    landmarks = KDTree(points).query(_landmarks_of_the_embedded_model() * WIDER)[1]
    for name, rim in rims.items():
        upper, lower = (rim[half] for half in halves(vertices[rim]))
        steps = 4 if name == "mouth" else 3
        along = [way[np.linspace(0, len(way) - 1, steps + 1).astype(int)] for way in (upper, lower)]
        first = {"right_eye": 36, "left_eye": 42, "mouth": 60}[name]
        landmarks[first : first + 2 * steps] = [*along[0], *along[1][-2:0:-1]]
    eyes = vertices[rims["right_eye"], 1].mean(), vertices[rims["mouth"], 1].max() + 0.015
    between = np.flatnonzero((vertices[:, 1] < eyes[0]) & (vertices[:, 1] > eyes[1]))
    landmarks[30] = between[vertices[between, 2].argmax()]
    balls = [_ball(points[rims[name]]) for name in ("right_eye", "left_eye")]
    everything = np.concatenate([points, *balls])
    first = len(points) + np.cumsum([0, len(balls[0])])
    faces = np.concatenate([faces, *(start + _hull(ball) for start, ball in zip(first, balls, strict=True))])
    parts = np.repeat([PARTS.index("skin"), PARTS.index("eyes")], [len(points), sum(map(len, balls))])
    names = [*UNSIDED - {"tongueOut"}, *(name + mark for name in SIDED for mark in SIDES.values())]
    expression = np.zeros((len(names), len(everything), 3))
    lower_lip = np.exp(-np.linalg.norm(everything - everything[landmarks[66]], axis=1) / 0.02)
    lower_lip[rims["mouth"][halves(vertices[rims["mouth"]])[0]]] = 0.0
    expression[names.index(JAW), :, 1] = -3.0 * lower_lip
    expression[names.index("mouthSmile_L"), :, 1] = np.exp(
        -np.linalg.norm(everything - points[landmarks[64]], axis=1) / 0.02
    )
    shuffled = np.random.default_rng(0).permutation(len(everything))
    place = np.argsort(shuffled)
    np.savez(
        path,
        neutral=(everything * CENTIMETRES)[shuffled],
        faces=place[faces[:, [0, 1, 2, 2]]],
        identity=np.stack([bulge(everything), 0.1 * everything])[:, shuffled],
        expression=expression[:, shuffled],
        expression_names=np.array(sorted(names, key=names.index)),
        landmarks=place[landmarks],
        parts=parts[shuffled],
    )


def _landmarks_of_the_embedded_model() -> np.ndarray:
    model = FaceModel.default()
    return landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3))[0].numpy()


def _hull(points: np.ndarray) -> np.ndarray:
    """Triangles around points of a ball, counter-clockwise seen from outside."""
    faces = ConvexHull(points).simplices
    a, b, c = (points[corner] - points.mean(0) for corner in faces.T)
    inward = (np.cross(b - a, c - a) * a).sum(1) < 0
    return np.where(inward[:, None], faces[:, ::-1], faces)


def _cut_in_four(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sides = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=2)
    pairs, index = np.unique(sides.reshape(-1, 2), axis=0, return_inverse=True)
    a, b, c = triangles.T
    ab, bc, ca = (index.reshape(-1, 3) + len(vertices)).T
    faces = [np.stack(corners, 1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.concatenate([vertices, vertices[pairs].mean(1)]), np.concatenate(faces)


def _ball(rim: np.ndarray) -> np.ndarray:
    """Points all over a sphere of an eyeball's size behind a rim."""
    directions = np.random.default_rng(1).normal(0.0, 1.0, (60, 3))
    return rim.mean(0) - [0.0, 0.0, 0.010] + 0.0125 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
