from pathlib import Path

import numpy as np
import pytest
import torch

from facerecon_ray.config.photos import ProfilingSettings
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.geometry.landmarks import landmarks_in_picture
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.synthesis.portraits.profiling import PICTURE_SIZE, FaceProfiler, ProfiledPhoto

PHOTO = Path(__file__).parents[3] / "facerecon_ray" / "assets" / "photos" / "eileen_collins.jpg"
NOSE_TIP = 30


@pytest.fixture(scope="module")
def profiler() -> FaceProfiler:
    return FaceProfiler(ProfilingSettings(), FaceModel.default())


@pytest.fixture(scope="module")
def photo(profiler: FaceProfiler) -> ProfiledPhoto:
    return profiler.photo(PHOTO.read_bytes())


def _landmarks(vertices: np.ndarray, roll: float) -> torch.Tensor:
    return landmarks_in_picture(FaceModel.default(), torch.from_numpy(vertices)[None], torch.tensor([roll]))[0, :, :2]


def test_unturned_it_is_the_photo(photo: ProfiledPhoto) -> None:
    yaw, pitch, roll = photo.camera.angles[0].tolist()
    view = photo.turned((yaw, pitch, roll))
    difference = np.abs(view.image - photo.picture[0].permute(1, 2, 0).numpy())
    x, y = view.vertices[FaceModel.default().face_vertices.numpy(), :2].mean(0).astype(int)
    assert difference[y - 40 : y + 40, x - 40 : x + 40].mean() < 3.0, "the face"
    assert difference[:40].mean() < 3.0, "the background"
    assert view.visible_share > 0.7


def test_landmarks_found_in_a_turned_photo_lie_where_the_pseudo_truth_says(photo: ProfiledPhoto) -> None:
    _, pitch, roll = photo.camera.angles[0].tolist()
    find = FaceFinder(CropSettings())
    for yaw in (-15.0, 25.0):
        view = photo.turned((yaw, pitch, roll))
        found = find(view.image)
        assert found is not None
        true = _landmarks(view.vertices, roll)
        error = (torch.from_numpy(found) - true)[17:].norm(dim=-1).mean() / box_size(true[None])[0]
        assert error < 0.025


def test_positive_yaw_turns_the_nose_to_the_right_of_the_picture(photo: ProfiledPhoto) -> None:
    offsets = []
    for yaw in (-60.0, 0.0, 60.0):
        points = _landmarks(photo.turned((yaw, 0.0, 0.0)).vertices, 0.0)
        offsets.append(float(points[NOSE_TIP, 0] - points[:17, 0].mean()))
    assert offsets[0] < -20.0 < abs(offsets[1]) < 20.0 < offsets[2]


def test_views_go_to_the_wanted_yaws_and_are_reproducible(profiler: FaceProfiler, photo: ProfiledPhoto) -> None:
    views, again = (list(profiler.views(photo, np.random.default_rng(4))) for _ in range(2))
    yaws = np.array([view.pose[0] for view in views])
    assert len(set(np.sign(yaws))) == 1
    assert np.abs(np.abs(yaws) - ProfilingSettings().yaws).max() <= 7.5
    assert np.abs(yaws).max() <= 90.0
    for first, second in zip(views, again, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
        assert first.image.shape == (PICTURE_SIZE, PICTURE_SIZE, 3)
        assert first.image.dtype == np.uint8


def test_the_background_has_no_holes_at_any_yaw(photo: ProfiledPhoto) -> None:
    bright = photo.picture[0, :, :60, :60].mean()
    for yaw in (-90.0, -45.0, 45.0, 90.0):
        corner = photo.turned((yaw, 0.0, 0.0)).image[:60, :60]
        assert abs(float(corner.mean()) - float(bright)) < 30.0
        assert corner.min() > 60, "nothing of the light wall is left black"
