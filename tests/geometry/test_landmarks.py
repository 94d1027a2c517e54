import torch

from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, FaceModel
from facerecon_ray.geometry.landmarks import (
    LandmarkModel,
    landmarks_in_picture,
    landmarks_on_vertices,
    projected_landmarks,
)
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import rasterize


def test_hidden_jaw_slides_onto_the_outline_and_the_visible_jaw_stays() -> None:
    model = FaceModel.default()
    frontal = landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3))[0]
    turned = landmarks_on_vertices(model, model.mean[None], torch.tensor([[40.0, 0.0, 0.0]]))[0]
    moved = (turned - frontal).norm(dim=-1)
    assert moved[:8].max() < 0.004, "the cheek on the picture's left comes into view and keeps its landmarks"
    assert moved[11:16].min() > 0.004, "the other one turns away"
    assert moved[CONTOUR_LANDMARKS:].max() == 0


def test_slid_jaw_lies_on_the_silhouette_of_the_face() -> None:
    model = FaceModel.default()
    camera = Camera(torch.tensor([[40.0, 0.0, 0.0]]), torch.tensor([700.0]), torch.tensor([[128.0, 128.0]]))
    face = model.triangles[model.face_triangles]
    mask = rasterize(camera.project(model.mean[None]), face, 256, 256).triangle[0] >= 0
    landmarks = projected_landmarks(model, model.mean[None], camera)[0]
    for x, y, _ in landmarks[11:15].tolist():
        edge = mask[int(y)].nonzero().max().item() + 1
        assert abs(x - edge) < 5


def test_roll_does_not_change_which_points_are_landmarks() -> None:
    model = LandmarkModel.of(FaceModel.default())
    points = model.points(torch.zeros(2, len(model.basis)))
    chosen = model.choose(points, torch.tensor([[25.0, 5.0, 0.0], [25.0, 5.0, 70.0]]))
    assert torch.equal(chosen[0], chosen[1])


def test_landmark_model_agrees_with_the_full_model() -> None:
    model = FaceModel.default()
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(3, model.shape_size, generator=generator)
    expression = torch.rand(3, model.expression_size, generator=generator)
    angles = torch.tensor([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0], [-50.0, 10.0, 5.0]])
    small = LandmarkModel.of(model)
    points = small.points(torch.cat([shape, expression], 1))
    mine = points.gather(1, small.choose(points, angles)[..., None].expand(-1, -1, 3))
    full = torch.stack(
        [
            landmarks_on_vertices(model, model.vertices(shape[i : i + 1], expression[i : i + 1]), angles[i : i + 1])[0]
            for i in range(3)
        ]
    )
    torch.testing.assert_close(mine, full, atol=1e-5, rtol=0)


def test_landmarks_in_a_picture_are_those_of_the_head_before_the_camera() -> None:
    model = FaceModel.default()
    angles = torch.tensor([[-70.0, 12.0, 25.0], [20.0, -18.0, -40.0]])
    camera = Camera(angles, torch.tensor([800.0, 900.0]), torch.tensor([[120.0, 130.0], [200.0, 90.0]]))
    vertices = model.mean.expand(2, -1, -1)
    expected = projected_landmarks(model, vertices, camera)
    assert torch.allclose(landmarks_in_picture(model, camera.project(vertices), angles[:, 2]), expected, atol=0.01)
