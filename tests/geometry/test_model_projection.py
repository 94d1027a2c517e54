import numpy as np
import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.model_projection import ModelProjector
from facerecon_ray.geometry.pose import Camera, rotation_from_angles


@pytest.fixture(scope="module")
def project() -> ModelProjector:
    return ModelProjector(FaceModel.default())


def test_a_head_in_any_frame_and_unit_has_the_same_coefficients(project: ModelProjector) -> None:
    model = FaceModel.default()
    shape = torch.randn(2, model.shape_size, generator=torch.Generator().manual_seed(0))
    vertices = model.vertices(shape, torch.zeros(2, model.expression_size)).numpy()
    rotation = rotation_from_angles(torch.tensor([40.0, -15.0, 70.0])).numpy()
    here, there = project(vertices), project(vertices @ rotation.T * 3.7 + (1.0, -2.0, 0.3))
    np.testing.assert_allclose(here.shape, shape, atol=0.1)
    np.testing.assert_allclose(here.shape, there.shape, atol=1e-3)
    np.testing.assert_allclose(here.vertices, there.vertices, atol=1e-6)
    np.testing.assert_allclose(here.vertices, vertices, atol=3e-4)


def test_coefficients_explain_a_head_better_than_their_neighbours(project: ModelProjector) -> None:
    model, rng = FaceModel.default(), np.random.default_rng(1)
    face = model.face_vertices.numpy()
    bumps = 0.003 * np.sin(model.mean.numpy() * 90.0)
    found = project((model.mean.numpy() + bumps)[None])

    def cost(shape: np.ndarray) -> float:
        vertices = model.vertices(torch.from_numpy(shape), torch.from_numpy(found.expression))[0].numpy()
        misfit = (vertices - found.vertices[0])[face]
        return float((misfit**2).sum() / 0.0005**2 + (shape**2).sum())

    best = cost(found.shape)
    for _ in range(20):
        assert cost(found.shape + rng.normal(0.0, 0.2, found.shape.shape).astype(np.float32)) > best


def test_perspective_changes_the_pose_little(project: ModelProjector) -> None:
    model = FaceModel.default()
    angles = torch.tensor([[35.0, 10.0, -20.0]])
    points = Camera(angles, torch.tensor([1000.0]), torch.tensor([[160.0, 160.0]])).project(model.mean[None]).numpy()
    near = points.copy()
    near[..., :2] = 160.0 + (near[..., :2] - 160.0) * 600.0 / (600.0 - near[..., 2:])
    camera, depth = project.camera(model.mean[None].numpy(), near)
    assert (camera.angles - angles).abs().max() < 2.5
    assert abs(depth[0]) < 20.0
