import numpy as np
import torch
from plain_head import plain_head, plain_view

from facerecon_ray.config.synthesis import OccluderSettings
from facerecon_ray.geometry.pose import Camera, angles_from_rotation, rotation_from_angles
from facerecon_ray.synthesis.rendering.view_sampling import LEVEL, ViewSampler, angles_of_turned, rotated_view


def test_eight_views_cover_all_yaws_and_the_stated_pitch_and_roll() -> None:
    angles = np.array([[view.angles for view in ViewSampler().views(seed)] for seed in range(100)])
    lower = np.array([-90.0, -67.5, -45.0, -22.5, 0.0, 22.5, 45.0, 67.5])
    assert angles.shape == (100, 8, 3)
    assert np.abs(angles[..., 0]).max() <= 90.0
    model_axes = rotation_from_angles(torch.from_numpy(angles))
    level = rotation_from_angles(torch.tensor([0.0, LEVEL, 0.0], dtype=torch.float64))
    yaw, pitch, roll = angles_from_rotation(model_axes @ level.mT).numpy().transpose(2, 0, 1)
    assert (yaw[:, 1:-1] >= lower[1:-1] - 1e-6).all()
    assert (yaw[:, 1:-1] <= lower[1:-1] + 22.5 + 1e-6).all()
    assert max(np.abs(pitch[:, 1:-1]).max(), np.abs(roll[:, 1:-1]).max()) <= 25.0 + 1e-6
    assert min(pitch.std(), roll.std()) > 13.0


def test_eyes_of_a_level_head_that_turns_stay_level() -> None:
    eyes = torch.tensor([[-0.03, 0.04, 0.03], [0.03, 0.04, 0.03]], dtype=torch.float64)
    for yaw in (-60.0, -30.0, 45.0):
        angles = torch.tensor(angles_of_turned(yaw, 0.0, 0.0), dtype=torch.float64)
        heights = (eyes @ rotation_from_angles(angles).mT)[:, 1]
        assert abs(float(heights[0] - heights[1])) < 1e-6
        assert abs(float(angles[0]) - yaw) < 1.0


def test_a_view_depends_on_its_seed_and_number_alone() -> None:
    sampler = ViewSampler()
    one, again = sampler.view(7, 2), ViewSampler().views(7)[2]
    assert (one.angles, one.camera, one.background_seed) == (again.angles, again.camera, again.background_seed)
    assert np.array_equal(one.light.environment, again.light.environment)
    assert one.angles != sampler.view(8, 2).angles


def test_from_far_away_the_projection_is_the_scaled_orthographic_one() -> None:
    view, vertices = plain_view((40.0, 10.0, -15.0)), plain_head().surface
    far = type(view)(**{**vars(view), "distance": 500.0})
    camera = Camera(torch.tensor([view.angles]), torch.tensor([view.scale]), torch.tensor([view.centre]))
    expected = camera.project(torch.from_numpy(vertices)[None])[0].numpy()
    assert np.abs(far.project(vertices) - expected).max() < 0.05


def test_near_cameras_enlarge_what_is_nearer_to_them() -> None:
    view = plain_view()
    near = type(view)(**{**vars(view), "distance": 0.4})
    points = np.array([[0.02, 0.0, 0.08], [0.02, 0.0, 0.0], [0.02, 0.0, -0.1]], np.float32)
    offset = near.project(points)[:, 0] - view.size / 2
    assert np.allclose(offset, 0.02 * view.scale * 0.4 / (0.4 - points[:, 2]), rtol=1e-4)


def test_the_rotated_view_differs_in_its_pose_and_in_what_degrades_a_photo() -> None:
    view = ViewSampler(occluders=OccluderSettings(share=1.0)).view(1, 3)
    turned = rotated_view(view, (10.0, 0.0, 5.0))
    assert turned.angles == (10.0, 0.0, 5.0)
    assert turned.occluder_seed is None
    assert (turned.camera.noise, turned.camera.jpeg_quality, turned.camera.resolution) == (0.0, 0, 1.0)
    kept = ("light", "distance", "scale", "centre", "size", "background_seed")
    assert all(getattr(turned, name) == getattr(view, name) for name in kept)
    assert (turned.camera.balance, turned.camera.exposure) == (view.camera.balance, view.camera.exposure)
