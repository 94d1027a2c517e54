import dlib
import numpy as np
import torch

from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.synthesis.model_building.head_rendering import HeadRenderer, frontal_camera, openness


def test_a_seed_is_a_person_and_dlib_finds_a_face() -> None:
    model = FaceModel.default()
    render, detector = HeadRenderer(model), dlib.get_frontal_face_detector()
    camera = frontal_camera(torch.tensor([[10.0, 0.0, 0.0]]), 256)
    pictures = [render(model.mean[None], camera, 256, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3, 4)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])
    assert sum(len(detector(picture, 1)) == 1 for picture in pictures[1:]) >= 4


def test_light_reaches_the_forehead_and_not_under_the_chin() -> None:
    model = FaceModel.default()
    light = openness(model)
    face = torch.zeros(len(model.mean), dtype=torch.bool)
    face[model.face_vertices] = True
    forehead = face & (model.mean[:, 1] > 0.05)
    throat = ~face & (model.regions == REGIONS.index("neck")) & (model.mean[:, 2] > 0) & (model.mean[:, 1] < -0.07)
    assert light[forehead].mean() > 1.5 * light[throat].mean()
