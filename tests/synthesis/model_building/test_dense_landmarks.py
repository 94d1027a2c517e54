import numpy as np
import torch
from scipy.spatial import cKDTree

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.model_building.dense_landmarks import dense_landmarks


def test_they_cover_the_face_evenly_and_alike_on_both_sides() -> None:
    model = FaceModel.default()
    found = dense_landmarks(model, 500)
    assert len(found) in (500, 501)
    assert torch.isin(found, model.face_vertices).all()
    assert torch.isin(model.mirror[found], found).all(), "the same on both sides"
    places, face = model.mean[found].numpy(), model.mean[model.face_vertices].numpy()
    apart = cKDTree(places).query(places, k=2)[0][:, 1]
    assert apart.min() > 0.001
    assert np.quantile(cKDTree(places).query(face)[0], 0.99) < 0.012, "no place of the face is far from all of them"
