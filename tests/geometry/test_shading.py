"""Normals, light and clay pictures of a sphere, whose answers are known."""

import math

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor
from torch.nn.functional import normalize

from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.shading import HEADLIGHT, SIDE_LIGHT, render_clay, shade, vertex_normals

SIZE = 64
RADIUS = 24.0


@pytest.fixture(scope="module")
def sphere() -> tuple[Tensor, Tensor]:
    """Unit sphere in the model frame, triangles counter-clockwise seen from outside."""
    mesh = trimesh.creation.icosphere(subdivisions=4)
    return torch.tensor(np.asarray(mesh.vertices)).float(), torch.tensor(np.asarray(mesh.faces)).long()


@pytest.fixture(scope="module")
def points(sphere: tuple[Tensor, Tensor]) -> Tensor:
    """The sphere in the middle of a picture of 64 x 64 pixels, image frame."""
    camera = Camera(torch.zeros(1, 3), torch.tensor([RADIUS]), torch.full((1, 2), SIZE / 2))
    return camera.project(sphere[0][None])


def test_normals_of_a_sphere_point_away_from_its_centre_in_the_frame_of_the_points(
    sphere: tuple[Tensor, Tensor], points: Tensor
) -> None:
    vertices, triangles = sphere
    assert (vertex_normals(vertices[None], triangles, frame="model") - vertices).norm(dim=-1).max() < 0.01
    outward = (points - torch.tensor([SIZE / 2, SIZE / 2, 0.0])) / RADIUS
    assert (vertex_normals(points, triangles) - outward).norm(dim=-1).max() < 0.01


def test_normals_of_a_batch_do_not_mix(sphere: tuple[Tensor, Tensor]) -> None:
    vertices, triangles = sphere
    stretched = vertices * torch.tensor([1.0, 2.0, 0.5])
    both = vertex_normals(torch.stack([vertices, stretched]), triangles)
    assert torch.equal(both[0], vertex_normals(vertices[None], triangles)[0])
    assert torch.equal(both[1], vertex_normals(stretched[None], triangles)[0])


def test_vertex_without_a_triangle_has_a_zero_normal() -> None:
    points = torch.tensor([[[0.0, 0.0, 0.0], [1e-4, 0.0, 0.0], [0.0, 1e-4, 0.0], [5.0, 5.0, 5.0]]])
    normals = vertex_normals(points, torch.tensor([[0, 1, 2]]), frame="model")
    assert torch.equal(normals[0], torch.tensor([[0.0, 0.0, 1.0]] * 3 + [[0.0, 0.0, 0.0]]))


def test_sphere_is_brightest_between_the_lights_and_darkest_away_from_them(sphere: tuple[Tensor, Tensor]) -> None:
    normals = sphere[0]
    lights = normalize(torch.tensor([HEADLIGHT, SIDE_LIGHT]), dim=1)
    brightness = shade(normals)
    assert brightness.min() >= 0
    assert 0.95 < brightness.max() <= 1
    brightest = normals[brightness.argmax()]
    angles = torch.rad2deg(torch.acos(lights @ brightest))
    between = math.degrees(math.acos(lights[0] @ lights[1]))
    assert angles.sum().item() == pytest.approx(between, abs=6)
    assert angles.max() < between
    front = normals[:, 2] > 0
    darkest = normals[front][brightness[front].argmin()]
    assert darkest @ lights[1] < -0.75


def test_clay_sphere_is_round_grey_and_lit_from_above_on_the_left(
    sphere: tuple[Tensor, Tensor], points: Tensor
) -> None:
    picture = render_clay(points, sphere[1], SIZE)
    assert picture.shape == (1, SIZE, SIZE, 3)
    assert picture.dtype == torch.uint8
    grey = picture[0].float().mean(-1)
    rows, columns = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    from_centre = torch.hypot(columns - SIZE / 2, rows - SIZE / 2)
    assert (picture[0][from_centre > RADIUS + 1] == 255).all()
    inside = from_centre < RADIUS - 1
    assert (grey[inside] < 235).all()
    assert (picture[0].float().amax(-1) - picture[0].float().amin(-1)).max() < 16
    upper_left, lower_right = (inside & (rows + columns < SIZE)), (inside & (rows + columns > SIZE))
    assert grey[upper_left].mean() > grey[lower_right].mean() + 30
    brightest = grey.where(inside, 0.0).argmax().item()
    assert rows.flatten()[brightest] < SIZE / 2
    assert columns.flatten()[brightest] < SIZE / 2


def test_pixel_half_covered_by_clay_is_half_white() -> None:
    square = torch.tensor([[[10.5, 8.0, 0.0], [50.5, 8.0, 0.0], [50.5, 40.0, 0.0], [10.5, 40.0, 0.0]]])
    row = render_clay(square, torch.tensor([[0, 2, 1], [0, 3, 2]]), SIZE)[0, 20].float()
    assert (row[11:50] == row[30]).all()
    assert (row[:10] == 255).all()
    assert (row[51:] == 255).all()
    assert (row[[10, 50]] - (row[30] + 255) / 2).abs().max() <= 1


def test_back_of_an_open_surface_is_drawn_like_its_front() -> None:
    points = torch.tensor([[[4.0, 4.0, 0.0], [60.0, 4.0, 0.0], [4.0, 60.0, 0.0]]])
    front = render_clay(points, torch.tensor([[0, 2, 1]]), SIZE)
    back = render_clay(points, torch.tensor([[0, 1, 2]]), SIZE)
    assert (front < 255).any()
    assert torch.equal(front, back)
