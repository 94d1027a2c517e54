import numpy as np

from facerecon_ray.geometry.nonrigid_registration import Target, bend_onto, laplacian
from facerecon_ray.geometry.surface import Surface


def test_a_sheet_comes_to_rest_on_a_bumpy_surface_with_its_corner_where_it_is_pinned() -> None:
    flat, triangles = _sheet(18)
    fine, fine_triangles = _sheet(41)
    bumpy = _raised(fine)
    everywhere = Target(np.ones(len(flat), bool), Surface(bumpy, fine_triangles))
    pins = np.array([0, 17])
    places = _raised(flat[pins])
    bent = bend_onto(flat, triangles, [everywhere], pins, places, np.ones(len(flat)))
    assert everywhere.surface.distance(flat).mean() > 0.003
    assert everywhere.surface.distance(bent).mean() < 0.0002
    assert np.abs(bent[pins] - places).max() < 0.0002
    edge = np.linalg.norm(bent[triangles[:, 0]] - bent[triangles[:, 1]], axis=1)
    assert edge.min() > 0.5 * edge.max() / np.sqrt(2.0), "no triangle collapses"


def test_vertices_rest_on_the_surface_that_is_theirs_though_another_is_nearer() -> None:
    flat, triangles = _sheet(12)
    fine, fine_triangles = _sheet(30)
    near, far = fine + [0.0, 0.0, 0.001], fine + [0.0, 0.0, -0.003]
    left = flat[:, 0] < 0
    targets = [Target(left, Surface(near, fine_triangles)), Target(~left, Surface(far, fine_triangles))]
    bent = bend_onto(flat, triangles, targets, np.zeros(0, int), np.zeros((0, 3)), np.ones(len(flat)))
    assert np.median(bent[left, 2]) > 0.0008
    assert np.median(bent[~left, 2]) < -0.0025


def test_laplacian_is_the_difference_to_the_neighbours_mean() -> None:
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    values = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(laplacian(4, triangles) @ values, [1 - 3, 2 - 13 / 3, 4 - 11 / 3, 8 - 3])


def _sheet(count: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of 10 cm that faces the front."""
    x, y = np.meshgrid(np.linspace(-0.05, 0.05, count), np.linspace(-0.05, 0.05, count))
    index = np.arange(count * count).reshape(count, count)
    a, b, c, d = (corner.ravel() for corner in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return np.stack([x.ravel(), y.ravel(), np.zeros(count * count)], 1), triangles


def _raised(points: np.ndarray) -> np.ndarray:
    return points + np.stack([0 * points[:, 0], 0 * points[:, 0], 0.006 * np.cos(60.0 * points[:, 0])], 1)
