import math

import pytest
import torch
from torch import Tensor

from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.networks.point_regression import MOST, PointRegression

POINTS, NUMBERS = 40, 3


def faces(count: int, seed: int, yaw: float = 80.0) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (N, 40, 2) of turned clouds of points, their rotations and the three numbers that make the clouds."""
    random = torch.Generator().manual_seed(1)
    mean, modes = torch.randn(POINTS, 3, generator=random), 0.1 * torch.randn(NUMBERS, POINTS, 3, generator=random)
    random.manual_seed(seed)
    numbers = torch.randn(count, NUMBERS, generator=random)
    angles = (2 * torch.rand(count, 3, generator=random) - 1) * torch.tensor([yaw, 15.0, 0.0])
    rotation = rotation_from_angles(angles)
    clouds = (mean + torch.einsum("nk,kpc->npc", numbers, modes)) @ rotation.mT
    return 40.0 * clouds[..., :2] + 128.0, rotation, numbers


@pytest.fixture(scope="module")
def regression() -> PointRegression:
    regression = PointRegression(POINTS, NUMBERS)
    regression.solve(*faces(4000, 2))
    return regression


def test_it_is_the_mean_face_until_it_is_solved() -> None:
    points, rotation, _ = faces(3, 4)
    assert not PointRegression(POINTS, NUMBERS)(points, rotation).any()


def test_numbers_are_found_at_any_pose(regression: PointRegression) -> None:
    points, rotation, numbers = faces(500, 3)
    found = regression(points, rotation)
    assert (found - numbers).square().mean() < 0.02


def noisy(points: Tensor, seed: int, size: float) -> Tensor:
    return points + size * torch.randn(points.shape, generator=torch.Generator().manual_seed(seed))


def test_in_noise_it_finds_more_than_one_regression_for_all_poses() -> None:
    points, rotation, numbers = faces(4000, 2)
    points = noisy(points, 1, 4.0)
    regression = PointRegression(POINTS, NUMBERS)
    regression.solve(points, rotation, numbers)
    plain = torch.linalg.lstsq(points.flatten(1) - 128.0, numbers).solution
    points, rotation, numbers = faces(500, 3)
    points = noisy(points, 2, 4.0)
    found = regression(points, rotation)
    assert (found - numbers).square().mean() < 0.8 * ((points.flatten(1) - 128.0) @ plain - numbers).square().mean()


def test_place_and_size_in_the_picture_tell_nothing(regression: PointRegression) -> None:
    points, rotation, _ = faces(5, 4)
    moved = 0.4 * points + torch.tensor([30.0, -70.0])
    assert torch.allclose(regression(moved, rotation), regression(points, rotation), atol=1e-3)


def test_noise_makes_numbers_smaller_than_they_are() -> None:
    points, rotation, numbers = faces(4000, 5)
    regression = PointRegression(POINTS, NUMBERS)
    regression.solve(noisy(points, 1, 25.0), rotation, numbers)
    points, rotation, numbers = faces(500, 6)
    found = regression(noisy(points, 2, 25.0), rotation)
    assert found.std() < 0.95 * numbers.std()
    assert (found - numbers).square().mean() < numbers.square().mean(), "and nearer than the mean"


def test_few_faces_and_what_is_no_face_give_finite_numbers() -> None:
    points, rotation, numbers = faces(2, 7)
    regression = PointRegression(POINTS, NUMBERS)
    regression.solve(points, rotation, numbers)
    assert regression(points, rotation).isfinite().all()
    nothing = regression(torch.zeros_like(points), rotation)
    wild = regression(1e4 * torch.randn(2, POINTS, 2, generator=torch.Generator().manual_seed(8)), rotation)
    assert nothing.isfinite().all() and wild.abs().max() <= MOST


def test_solving_again_forgets_what_was_solved(regression: PointRegression) -> None:
    again = PointRegression(POINTS, NUMBERS)
    again.solve(*faces(50, 9))
    again.solve(*faces(4000, 2))
    points, rotation, _ = faces(20, 10)
    assert torch.allclose(again(points, rotation), regression(points, rotation), atol=math.sqrt(1e-6))
