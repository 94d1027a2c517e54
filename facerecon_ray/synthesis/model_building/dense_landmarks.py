"""A dense set of landmarks: vertices spread evenly over what can be seen of the face, the same on both sides.

For networks that predict hundreds of points in place of 68 (Wood et al., 3D Face Reconstruction with Dense Landmarks,
2022). Farthest point sampling (Eldar et al., The Farthest Point Strategy for Progressive Image Sampling, 1997), a
vertex and its mirrored one at a time.
"""

import numpy as np
import torch

from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.synthesis.model_building.head_rendering import openness

DENSE_LANDMARKS = 600

SEEN = 0.25
"""Openness below which a vertex is in a fold or a nostril, where nobody sees it."""

SAME_PLACE = 0.0015
"""Metres between a vertex's mirrored place and its mirrored vertex for both to count as a pair."""

CAPS = [REGIONS.index(name) for name in ("right_eye", "left_eye", "mouth")]


def dense_landmarks(model: FaceModel, count: int = DENSE_LANDMARKS) -> torch.Tensor:
    """(count or one more,) int64 sorted vertices of the face region, each with its mirrored one.

    Parameters
    ----------
    model : a face model, its eyes and mouth as regions
    count : how many at least, if there are as many pairs
    """
    mean, mirror = model.mean.numpy().astype(np.float64), model.mirror.numpy()
    away = np.linalg.norm(mean[mirror] * [-1.0, 1.0, 1.0] - mean, axis=1)
    usable = (away < SAME_PLACE) & (mirror[mirror] == np.arange(len(mean)))
    usable &= (openness(model).numpy() > SEEN) & ~np.isin(model.regions.numpy(), CAPS)
    usable &= usable[mirror]
    candidates = model.face_vertices.numpy()
    candidates = candidates[usable[candidates] & np.isin(mirror[candidates], candidates)]
    chosen: set[int] = set()
    distance = np.full(len(candidates), np.inf)
    following = int(candidates[mean[candidates, 2].argmax()])
    while len(chosen) < min(count, len(candidates)):
        for vertex in {following, int(mirror[following])}:
            chosen.add(vertex)
            distance = np.minimum(distance, np.linalg.norm(mean[candidates] - mean[vertex], axis=1))
        following = int(candidates[distance.argmax()])
    return torch.tensor(sorted(chosen))
