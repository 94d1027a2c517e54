"""Balls and tubes with texture coordinates, for knots of hair, frames of glasses, brims."""

import numpy as np

Textured = tuple[np.ndarray, np.ndarray, np.ndarray]
"""vertices (N, 3) float32, triangles (T, 3) int64 counter-clockwise seen from outside, uv (N, 2) float32."""


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """(T, 3) triangles of a grid of points, rows by columns; outside is where columns go right and rows go down."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, below, across = corner + 1, corner + columns, corner + columns + 1
    return np.concatenate([np.stack([corner, below, right], 1), np.stack([right, below, across], 1)])


def grid_uv(rows: int, columns: int) -> np.ndarray:
    """(rows * columns, 2) float32: u along the columns, v down the rows."""
    u, v = np.meshgrid(np.linspace(0.0, 1.0, columns), np.linspace(0.0, 1.0, rows))
    return np.stack([u.ravel(), v.ravel()], 1).astype(np.float32)


def ball(centre: np.ndarray, radii: np.ndarray, columns: int, rows: int) -> Textured:
    """An ellipsoid with axes along the frame's."""
    polar = np.linspace(0.0, np.pi, rows)[:, None]
    around = np.linspace(-np.pi, np.pi, columns)[None]
    unit = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(around), np.cos(polar), np.sin(polar) * np.cos(around)), -1
    )
    vertices = (centre + unit.reshape(-1, 3) * radii).astype(np.float32)
    return vertices, grid_triangles(rows, columns), grid_uv(rows, columns)


def tube(
    path: np.ndarray, radius: np.ndarray, columns: int, up: tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> Textured:
    """A round tube.

    Parameters
    ----------
    path : (n, 3) middle line
    radius : (n,) at each point, or (n, 2) across and along `up`
    columns : points around, the first and the last at the same place
    up : a direction that the path never takes
    """
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True).clip(1e-9)
    across = np.cross(np.array(up), tangent)
    across /= np.linalg.norm(across, axis=1, keepdims=True).clip(1e-9)
    other = np.cross(tangent, across)
    wide = radius if radius.ndim == 2 else np.stack([radius, radius], 1)
    around = np.linspace(0.0, 2 * np.pi, columns)
    ring = across[:, None] * (np.cos(around)[None, :, None] * wide[:, None, :1])
    ring = ring + other[:, None] * (np.sin(around)[None, :, None] * wide[:, None, 1:])
    vertices = (path[:, None] + ring).reshape(-1, 3).astype(np.float32)
    return vertices, grid_triangles(len(path), columns)[:, ::-1].copy(), grid_uv(len(path), columns)
