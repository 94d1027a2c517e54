import numpy as np
import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.pose import Camera, angles_from_rotation, rotation_from_angles
from facerecon_ray.geometry.rasterizer import rasterize

NOSE_TIP, CHIN, BROW = 30, 8, 21


def test_angles_come_back_from_their_rotation_also_at_profile() -> None:
    rng = np.random.default_rng(0)
    angles = torch.from_numpy(rng.uniform([-180, -85, -180], [180, 85, 180], (500, 3)))
    angles[0] = torch.tensor([90.0, 20.0, -30.0])
    angles[1] = torch.tensor([-90.0, -20.0, 30.0])
    assert torch.allclose(angles_from_rotation(rotation_from_angles(angles)), angles, atol=1e-6)


def test_rotations_are_orthogonal_and_keep_handedness() -> None:
    rotation = rotation_from_angles(torch.tensor([[40.0, -20.0, 15.0]], dtype=torch.float64))
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64)[None])
    assert torch.det(rotation).item() == pytest.approx(1.0)


def test_unproject_undoes_project() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 50, 3, generator=generator) * 0.1
    camera = Camera(
        torch.tensor([[30.0, 10.0, -5.0], [-70.0, 0.0, 20.0]]),
        torch.tensor([900.0, 1200.0]),
        torch.tensor([[128.0, 120.0], [100.0, 140.0]]),
    )
    assert torch.allclose(camera.unproject(camera.project(points)), points, atol=1e-5)


def _rendered_landmarks(yaw: float, pitch: float, roll: float) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks in pixels, and the mask of the rendered head."""
    model = FaceModel.default()
    angles = torch.tensor([[yaw, pitch, roll]])
    camera = Camera(angles, torch.tensor([700.0]), torch.tensor([[128.0, 128.0]]))
    mask = rasterize(camera.project(model.mean[None]), model.triangles, 256, 256).triangle[0] >= 0
    landmarks = camera.project(landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3)))
    return landmarks[0].numpy(), mask.numpy()


def test_upright_face_has_its_chin_below_and_its_nose_in_front() -> None:
    landmarks, mask = _rendered_landmarks(0, 0, 0)
    assert landmarks[CHIN, 1] > landmarks[NOSE_TIP, 1] > landmarks[BROW, 1]
    assert landmarks[NOSE_TIP, 2] == landmarks[:, 2].max()
    assert mask[128, 128]
    right_eye, left_eye = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    assert right_eye[0] < left_eye[0], "the subject's right eye is on the picture's left"


@pytest.mark.parametrize("sign", [1, -1])
def test_positive_yaw_turns_the_nose_to_the_right_of_the_rendered_head(sign: int) -> None:
    landmarks, mask = _rendered_landmarks(sign * 60, 0, 0)
    columns = np.flatnonzero(mask[int(landmarks[NOSE_TIP, 1])])
    outermost = columns.max() if sign > 0 else columns.min()
    assert abs(landmarks[NOSE_TIP, 0] - outermost) < 4


@pytest.mark.parametrize("sign", [1, -1])
def test_positive_pitch_raises_the_chin(sign: int) -> None:
    level, _ = _rendered_landmarks(0, 0, 0)
    pitched, _ = _rendered_landmarks(0, sign * 25, 0)
    assert sign * (pitched[NOSE_TIP, 1] - level[NOSE_TIP, 1]) < -10
    assert sign * (pitched[CHIN, 2] - level[CHIN, 2]) > 10


@pytest.mark.parametrize("sign", [1, -1])
def test_positive_roll_tilts_the_head_clockwise(sign: int) -> None:
    landmarks, _ = _rendered_landmarks(0, 0, sign * 30)
    eyes_to_chin = landmarks[CHIN] - landmarks[36:48].mean(0)
    assert sign * eyes_to_chin[0] < -20
    right_eye, left_eye = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    assert sign * (left_eye[1] - right_eye[1]) > 10
