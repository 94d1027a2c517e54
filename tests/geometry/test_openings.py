import numpy as np
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.openings import halves, triangles_across


def smile(points: int = 21) -> np.ndarray:
    """(2 n - 2, 3) a closed line around an opening whose ends are above its middle."""
    x = np.linspace(-1.0, 1.0, points)
    upper, lower = np.stack([x, x**2, 0 * x], 1), np.stack([x, x**2 - 0.3 * (1 - x**2), 0 * x], 1)
    return np.concatenate([upper, lower[-2:0:-1]])


def areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    return np.cross(b - a, c - a)[:, 2] / 2


def test_halves_go_from_the_smallest_x_to_the_largest() -> None:
    line = smile()
    upper, lower = (line[half] for half in halves(line))
    assert (np.diff(upper[:, 0]) > 0).all() and (np.diff(lower[:, 0]) > 0).all()
    assert np.allclose(upper[[0, -1]], lower[[0, -1]])
    assert (upper[1:-1, 1] > lower[1:-1, 1]).all()


def test_a_bent_opening_is_closed_without_leaving_it() -> None:
    line = smile()
    for loop in (np.arange(len(line)), np.arange(len(line))[::-1], np.roll(np.arange(len(line)), 7)):
        strip = triangles_across(line, loop)
        area = areas(line, strip)
        assert len(strip) == len(line) - 2
        assert (area > 0).all()
        x, y = line[:, 0], line[:, 1]
        enclosed = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        assert np.isclose(area.sum(), enclosed)


def test_the_face_models_mouth_is_shut_for_pictures_whatever_it_says() -> None:
    model = FaceModel.default()
    closed = model.closed_triangles
    assert torch.equal(closed[: len(model.triangles)], model.triangles)
    assert len(boundary_loops(closed.numpy())) == len(boundary_loops(model.triangles.numpy())) - 1
    jaw_open = torch.zeros(1, model.expression_size)
    jaw_open[0, model.expression_names.index("jawOpen")] = 1.0 / 0.3
    points = model.vertices(torch.zeros(1, model.shape_size), jaw_open)[0].numpy()
    assert (areas(points, closed[len(model.triangles) :].numpy()) > 0).mean() > 0.9
