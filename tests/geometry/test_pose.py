import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import facerecon_ray
from facerecon_ray.geometry.crop_camera import crop_camera, pose_in_photo
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.pose import Camera, angles_from_rotation, rotation_from_angles, sight_rotation
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.turned_view import recentred

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


ORTHOGRAPHIC = Camera(
    torch.tensor([[30.0, 10.0, -5.0], [-70.0, 0.0, 20.0]]),
    torch.tensor([900.0, 1200.0]),
    torch.tensor([[128.0, 120.0], [100.0, 140.0]]),
)
NEAR = replace(ORTHOGRAPHIC, nearness=torch.tensor([2.5, 0.8]), ray=torch.tensor([[0.3, -0.1], [-0.4, 0.2]]))


@pytest.mark.parametrize("camera", [ORTHOGRAPHIC, NEAR], ids=["orthographic", "near"])
def test_unproject_undoes_project(camera: Camera) -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 50, 3, generator=generator) * 0.1
    assert torch.allclose(camera.unproject(camera.project(points)), points, atol=1e-5)


def test_a_camera_at_a_distance_sees_what_a_pinhole_sees() -> None:
    points = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(1)) * 0.07
    distance, ray = 1 / NEAR.nearness, NEAR.ray
    focal, middle = NEAR.scale * distance, NEAR.translation - (NEAR.scale * distance)[:, None] * ray
    # The camera's frame: x right, y down, depth forward, its centre at 0.
    head = torch.cat([ray, torch.ones(2, 1)], 1) * distance[:, None]
    in_camera = (points @ NEAR.rotation.mT) * torch.tensor([1.0, -1.0, -1.0]) + head[:, None]
    expected = focal[:, None, None] * in_camera[..., :2] / in_camera[..., 2:] + middle[:, None]
    torch.testing.assert_close(NEAR.project(points)[..., :2], expected, atol=1e-3, rtol=0)


def test_angles_are_to_the_line_of_sight_so_a_face_beside_the_axis_looks_as_one_on_it() -> None:
    """What is nearest to the camera of a face that looks at it is seen at its middle, wherever it stands."""
    ahead = torch.tensor([[[0.0, 0.0, 0.1], [0.05, 0.0, 0.0], [0.0, 0.05, 0.0]]])
    camera = Camera(torch.zeros(1, 3), torch.tensor([1000.0]), torch.zeros(1, 2), torch.tensor([1.0]))
    beside = replace(camera, ray=torch.tensor([[0.4, 0.3]]))
    assert beside.project(ahead)[0, 0, :2].abs().max() < 1e-3
    ways = [view.project(ahead)[0, 1:, :2] for view in (camera, beside)]
    assert (ways[1] - ways[0]).norm(dim=-1).max() < 0.16 * ways[0].norm(dim=-1).max(), "a picture stretches sideways"


def test_the_smallest_turn_onto_a_line_of_sight_turns_with_the_picture() -> None:
    ray, roll = torch.tensor([0.4, -0.2]), torch.tensor([0.0, 0.0, 35.0])
    about = rotation_from_angles(roll)
    turned = (about[:2, :2].T @ ray[:, None])[:, 0]
    torch.testing.assert_close(sight_rotation(turned), about @ sight_rotation(ray) @ about.T)


def test_whatever_makes_a_camera_from_another_keeps_its_perspective() -> None:
    """Points that are seen by the one are seen by the other where the picture's own change brings them."""
    face = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(2)) * 0.07
    seen, transform = NEAR.project(face), np.array([[[0.9, 0.3, 5.0], [-0.3, 0.9, 2.0]]] * 2)
    in_photo = pose_in_photo(NEAR.angles, transform)
    derived = {
        "from_row": Camera.from_row(NEAR.angles, NEAR.row),
        "with_angles": NEAR.with_angles(NEAR.angles),
        "moved_to": NEAR.moved_to(NEAR.translation),
        "in_picture": NEAR.in_picture(torch.ones(2)),
        "recentred": recentred(NEAR, NEAR.angles, face, seen),
        "crop_camera": crop_camera(in_photo, NEAR.row, transform),
    }
    for name, camera in derived.items():
        torch.testing.assert_close(camera.project(face), seen, atol=1e-3, rtol=0, msg=name)
    shift = torch.tensor([3.0, -4.0])
    larger = NEAR.in_picture(2.0, shift).project(face)
    torch.testing.assert_close(larger, 2 * seen + torch.tensor([3.0, -4.0, 0.0]), atol=1e-3, rtol=0)


def test_only_pose_and_what_makes_a_first_camera_name_the_class() -> None:
    """A camera from another one is made by its methods, which a new field cannot escape."""
    package = Path(facerecon_ray.__file__).parent
    taken_apart = re.compile(r"Camera\([^()]*\b(\w+\.)*camera\.(scale|translation|angles)\b")
    found = [str(file) for file in package.rglob("*.py") if taken_apart.search(file.read_text())]
    assert found == []


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


def test_a_part_of_cameras_is_those_of_its_rows() -> None:
    cameras = Camera(torch.rand(4, 3), torch.rand(4), torch.rand(4, 2), nearness=torch.rand(4), ray=torch.rand(4, 2))
    part = cameras.part(slice(1, 3))
    assert torch.equal(part.angles, cameras.angles[1:3]) and torch.equal(part.row, cameras.row[1:3])
