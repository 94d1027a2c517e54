import numpy as np
import pytest

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry import surface
from facerecon_ray.geometry.surface import Surface, require_open3d

SQUARE = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]], float)
TWO_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


def test_the_nearest_point_lies_inside_on_an_edge_or_at_a_corner() -> None:
    square = Surface(SQUARE, TWO_TRIANGLES)
    points = np.array([[0.5, 1.5, 3.0], [1.0, -1.0, 0.0], [5.0, 6.0, 0.0]])
    nearest, normals = square.closest(points)
    np.testing.assert_allclose(nearest, [[0.5, 1.5, 0.0], [1.0, 0.0, 0.0], [2.0, 2.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(normals, np.tile([0.0, 0.0, 1.0], (3, 1)), atol=1e-12)
    np.testing.assert_allclose(square.distance(points), [3.0, 1.0, 5.0], atol=1e-6)


def test_what_is_missing_of_the_system_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    require_open3d()
    monkeypatch.setitem(surface.LIBRARIES, "libnowhere.so.9", "libnowhere9")
    with pytest.raises(AssetError, match=r"libnowhere\.so\.9 of the system; .*apt-get install libnowhere9$"):
        Surface(SQUARE, TWO_TRIANGLES)


def test_a_surface_far_from_the_origin_loses_no_digits() -> None:
    far = np.array([1e5, -2e5, 3e5])
    square = Surface(SQUARE + far, TWO_TRIANGLES)
    np.testing.assert_allclose(square.distance(np.array([[0.5, 0.5, 1e-3]]) + far), 1e-3, rtol=1e-5)


def test_the_located_corners_and_weights_give_the_nearest_point() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    surface = Surface(vertices, np.array([[0, 1, 2], [1, 3, 2]]))
    points = np.array([[0.2, 0.1, 0.5], [0.9, 0.7, -0.2], [2.0, 2.0, 0.0]])
    corners, weights = surface.locate(points)
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-6)
    found = np.einsum("nkc,nk->nc", vertices[corners], weights)
    np.testing.assert_allclose(found, surface.closest(points)[0], atol=1e-6)
