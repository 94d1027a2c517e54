import numpy as np
import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.geometry.smooth_border import SmoothBorder, smooth_uv


@pytest.fixture(scope="module")
def layout() -> UvLayout:
    return UvLayout.of(FaceModel.default())


@pytest.fixture(scope="module")
def border(layout: UvLayout) -> SmoothBorder:
    return SmoothBorder.of(FaceModel.default(), layout)


def mean_face(layout: UvLayout, uv: torch.Tensor) -> np.ndarray:
    """(Q, 3) metres, read off the mean face's map."""
    pixels_per_metre = 1000.0
    maps = layout.position_map(FaceModel.default().mean[None] * pixels_per_metre)
    return (layout.read(maps, uv)[0] / pixels_per_metre).numpy()


def turning(line: np.ndarray) -> np.ndarray:
    """Degrees by which a closed line turns at each of its points."""
    steps = np.roll(line, -1, 0) - line
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    return np.rad2deg(np.arccos((steps * np.roll(steps, 1, 0)).sum(1).clip(-1.0, 1.0)))


def test_the_zigzag_of_the_border_is_gone(layout: UvLayout, border: SmoothBorder) -> None:
    ring = max(boundary_loops(layout.triangles.numpy()), key=len)
    before, after = (turning(mean_face(layout, uv)[ring]) for uv in (layout.vertex_uv, border.vertex_uv))
    assert after.max() < 40.0
    # A flat ring turns by 360 degrees in all; the face's is bent.
    assert after.sum() < 800.0
    assert before.sum() > 2000.0


def test_the_inner_face_stays_and_the_rest_hardly_moves(layout: UvLayout, border: SmoothBorder) -> None:
    before, after = (mean_face(layout, uv) for uv in (layout.vertex_uv, border.vertex_uv))
    moved = np.linalg.norm(after - before, axis=1)
    assert (moved == 0.0).mean() > 0.7
    assert moved[before[:, 2] > 0.055].max() == 0.0
    assert moved.max() < 0.016


def test_triangles_keep_their_sides_and_stay_in_the_square(layout: UvLayout, border: SmoothBorder) -> None:
    corners = border.vertex_uv[layout.triangles].double()
    (ax, ay), (bx, by) = ((corners[:, k] - corners[:, 0]).T for k in (1, 2))
    before = layout.vertex_uv[layout.triangles].double()
    (cx, cy), (dx, dy) = ((before[:, k] - before[:, 0]).T for k in (1, 2))
    assert ((ax * by - ay * bx) / (cx * dy - cy * dx)).min() > 0.2
    assert border.vertex_uv.min() >= 0.0
    assert border.vertex_uv.max() <= 1.0


def test_pixels_are_drawn_along(layout: UvLayout, border: SmoothBorder) -> None:
    assert border.pixel_uv.shape == layout.pixel_uv.shape
    middle = np.s_[96:160, 96:160]
    same = torch.zeros(MAP_SIZE, MAP_SIZE)
    same[layout.mask] = (border.pixel_uv - layout.pixel_uv).abs().amax(1)
    assert same[middle].max() < 1e-5
    assert same[0].max() > 0.02


def test_a_border_that_touches_itself_stays(layout: UvLayout) -> None:
    corner = layout.triangles[0, 0]
    around = (layout.triangles == corner).any(1).nonzero()[:, 0]
    pinched = torch.ones(len(layout.triangles), dtype=torch.bool)
    pinched[around[[0, len(around) // 2]]] = False
    triangles = layout.triangles[pinched]
    points = FaceModel.default().mean[layout.vertices]
    with pytest.raises(ValueError, match="touches itself"):
        boundary_loops(triangles.numpy())
    assert torch.equal(smooth_uv(points, layout.vertex_uv, triangles), layout.vertex_uv)
