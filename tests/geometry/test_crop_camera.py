import numpy as np
import torch

from facerecon_ray.geometry.crop_camera import crop_lens, pose_in_photo
from facerecon_ray.geometry.crop_transform import CROP_SIZE, apply_transform, turn
from facerecon_ray.geometry.pose import Camera

WIDTH, HEIGHT, FOCAL = 4000, 3000, 3300.0


def _crop_of(place: np.ndarray, roll: float, scale: float) -> np.ndarray:
    """(1, 2, 3) transform to a crop that is turned by a roll and has a place of the photo in its middle."""
    linear = scale * turn(-roll)
    return np.concatenate([linear, (CROP_SIZE / 2 - linear @ place)[:, None]], 1)[None]


def test_a_crops_lens_is_that_of_its_photo_wherever_and_however_the_crop_lies() -> None:
    points = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(0)) * 0.07
    for place, roll, scale in (
        ((700.0, 900.0), 0.0, 0.4),
        ((3500.0, 2500.0), 40.0, 1.7),
        ((2000.0, 300.0), -120.0, 0.2),
    ):
        distance, transform = 0.45, _crop_of(np.array(place), roll, scale)
        ray = torch.tensor([[place[0] - WIDTH / 2, place[1] - HEIGHT / 2]]) / FOCAL
        angles = torch.tensor([[20.0, -10.0, roll + 5.0]])
        nearness = torch.tensor([1 / distance])
        photo = Camera(angles, torch.tensor([FOCAL / distance]), torch.tensor([place]), nearness, ray)
        lens = crop_lens(np.array([FOCAL]), np.array([WIDTH]), np.array([HEIGHT]), transform)
        assert lens.focal_length.item() == np.float32(FOCAL * scale)
        in_crop = pose_in_photo(angles, np.linalg.inv(np.vstack([transform[0], [0, 0, 1]]))[None, :2])
        middle = torch.full((1, 2), CROP_SIZE / 2)
        crop = Camera(in_crop, photo.scale * scale, middle, nearness, lens.ray)
        expected = apply_transform(transform, photo.project(points)[..., :2].double().numpy())
        np.testing.assert_allclose(crop.project(points)[..., :2], expected, atol=2e-3 * scale * FOCAL / 1000)


def test_a_photo_that_states_no_focal_length_has_no_line_of_sight_either() -> None:
    lens = crop_lens(np.zeros(1), np.array([WIDTH]), np.array([HEIGHT]), _crop_of(np.array([700.0, 900.0]), 0.0, 0.4))
    assert not lens.known.any() and not lens.ray.any()
