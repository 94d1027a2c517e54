import numpy as np
import pytest

from facerecon_ray.geometry.mesh_topology import boundary_loops, triangle_parts, without_pinches


def _grid(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid of rows x columns vertices."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    below = corner + columns
    return np.concatenate([np.stack([corner, below, corner + 1], 1), np.stack([corner + 1, below, below + 1], 1)])


def test_grid_has_one_loop_around_it_in_the_order_of_the_winding() -> None:
    (loop,) = boundary_loops(_grid(4, 5))
    assert len(loop) == 14
    steps = np.stack([np.roll(loop, -1), loop], 1)
    triangles = _grid(4, 5)
    reversed_edges = {tuple(edge) for t in triangles for edge in ((t[1], t[0]), (t[2], t[1]), (t[0], t[2]))}
    assert {tuple(step) for step in steps.tolist()} <= reversed_edges


def test_hole_is_a_second_loop() -> None:
    triangles = _grid(6, 6)
    inside = [(7, 13, 8), (8, 13, 14)]
    holed = np.array([t for t in triangles.tolist() if tuple(t) not in inside])
    assert [len(loop) for loop in boundary_loops(holed)] == [20, 4]


def test_parts_are_connected_by_edges_not_by_corners() -> None:
    two = np.array([[0, 1, 2], [2, 3, 4], [3, 5, 4]])
    assert len(set(triangle_parts(two))) == 2


def test_boundary_that_touches_itself_is_refused_and_repaired() -> None:
    bow_tie = np.array([[0, 1, 2], [2, 3, 4]])
    with pytest.raises(ValueError, match="touches itself"):
        boundary_loops(bow_tie)
    grid = _grid(6, 6)
    middle = 14
    pinched = np.array([t for t in grid.tolist() if not (middle in t and (middle + 1 in t or middle - 1 in t))])
    repaired = without_pinches(pinched)
    loops = boundary_loops(repaired)
    assert sum(len(loop) for loop in loops) == len(np.unique(np.concatenate(loops)))
