"""Nearest triangles at pixel centres as loops that Numba compiles: `rasterizer_torch` without lists of pixels.

All numbers are computed in the order of the plain path and rounded after each operation, so that the results are the
same to the bit. A list of pixels passes through memory with every operation of it; a loop keeps a pixel in registers,
which takes a tenth of the time and less.

What is compiled is kept beside this file or in the user's cache, for the next process; where neither can be written,
every process compiles anew, in a second.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry import rasterizer_torch

NOTHING, TRIANGLE_BITS = rasterizer_torch.NOTHING, rasterizer_torch.TRIANGLE_BITS
_SMALLEST = np.float32(torch.finfo(torch.float32).tiny)
_SMALLEST_DOUBLE = torch.finfo(torch.float64).tiny
_HALF, _ONE, _NONE = np.float32(0.5), np.float32(1.0), np.float32(0.0)


def draw(nearest: Tensor, points: Tensor, triangles: Tensor, cull_back: bool = False) -> None:
    """Enter triangles into pictures where they are nearer than what those have, as `rasterizer_torch.draw` does.

    Parameters
    ----------
    nearest : (B, H, W) int64 keys on the CPU, contiguous, which are changed
    points : (B, N, 3) float32 image frame, pixels
    triangles : (T, 3) or (B, T, 3) int64
    cull_back : skip triangles that face away from the camera
    """
    _draw(nearest.numpy(), _one_or_each(points), _one_or_each(triangles), cull_back)


def resolve(nearest: Tensor, points: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle (B, H, W), barycentric coordinates (B, H, W, 3) and depth (B, H, W) of the winners (B, H, W)."""
    triangle = torch.full_like(nearest, -1)
    barycentric = points.new_zeros(*nearest.shape, 3)
    depth = points.new_full(nearest.shape, -torch.inf)
    out = (array.numpy() for array in (triangle, barycentric, depth))
    _resolve(nearest.numpy(), _one_or_each(points), _one_or_each(triangles), *out)
    return triangle, barycentric, depth


def interpolate(triangle: Tensor, barycentric: Tensor, triangles: Tensor, attributes: Tensor) -> Tensor:
    """(B, H, W, C) values of vertices, (B, N, C) or (N, C) float32, over pixels (B, H, W) and (B, H, W, 3)."""
    values = triangle.new_zeros(*triangle.shape, attributes.shape[-1], dtype=torch.float32)
    seen = (part.contiguous().numpy() for part in (triangle, barycentric))
    _interpolate(*seen, _one_or_each(triangles), _one_or_each(attributes), values.numpy())
    return values


def compile_all() -> None:
    """Compile what is not compiled yet, in two seconds: an installation does it, in place of the first job."""
    points, triangles = torch.tensor([[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]]), torch.tensor([[0, 1, 2]])
    nearest = torch.full((1, 2, 2), NOTHING, dtype=torch.int64)
    draw(nearest, points, triangles)
    triangle, barycentric, _ = resolve(nearest, points, triangles)
    interpolate(triangle, barycentric, triangles, points)


def _one_or_each(values: Tensor) -> np.ndarray:
    """(1 or B, N, C) of one or of each picture, contiguous: the loops are compiled for one kind of arrays."""
    each = values if values.ndim == 3 else values[None]
    return each.detach().contiguous().numpy()


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        loop = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for it can be written
        loop = numba.njit(**options)(function)

    def call(*arguments: Any) -> None:
        try:
            loop(*arguments)
        except OSError:  # the folder's disk is full: it is compiled for this process, and has not run yet
            loop(*arguments)

    return call


@_compiled
def _draw(nearest: Any, points: Any, triangles: Any, cull_back: Any) -> None:
    pictures, height, width = nearest.shape
    depth = np.zeros(1, np.float32)
    bits = depth.view(np.int32)
    for picture in range(pictures):
        mesh = triangles[picture if len(triangles) > 1 else 0]
        place = points[picture]
        for triangle in range(len(mesh)):
            a, b, c = mesh[triangle]
            ax, ay, az = place[a]
            bx, by, bz = place[b]
            cx, cy, cz = place[c]
            doubled_area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
            usable = doubled_area < _NONE if cull_back else doubled_area != _NONE
            if not (usable and np.isfinite(doubled_area + az + bz + cz)):
                continue
            left, right = _span(min(ax, bx, cx), max(ax, bx, cx), width)
            top, bottom = _span(min(ay, by, cy), max(ay, by, cy), height)
            if left > right:
                continue
            if ay > by:
                ax, ay, az, bx, by, bz = bx, by, bz, ax, ay, az
            if by > cy:
                bx, by, bz, cx, cy, cz = cx, cy, cz, bx, by, bz
            if ay > by:
                ax, ay, az, bx, by, bz = bx, by, bz, ax, ay, az
            for row in range(top, bottom + 1):
                y = np.float32(row) + _HALF
                long_x, long_z = _cross(y, ax, ay, az, cx, cy, cz)
                if y < by:
                    short_x, short_z = _cross(y, ax, ay, az, bx, by, bz)
                else:
                    short_x, short_z = _cross(y, bx, by, bz, cx, cy, cz)
                first, last = _span(min(long_x, short_x), max(long_x, short_x), width)
                run = short_x - long_x
                slope = _NONE if run == _NONE else (short_z - long_z) / run
                for column in range(first, last + 1):
                    depth[0] = long_z + (np.float32(column) + _HALF - long_x) * slope
                    ordered = np.int64(bits[0])
                    if ordered < 0:
                        ordered ^= np.int64(0x7FFFFFFF)
                    key = (ordered << 32) | triangle
                    if key > nearest[picture, row, column]:
                        nearest[picture, row, column] = key


@_compiled
def _resolve(nearest: Any, points: Any, triangles: Any, out_triangle: Any, out_weights: Any, out_depth: Any) -> None:
    pictures, height, width = nearest.shape
    for picture in range(pictures):
        mesh = triangles[picture if len(triangles) > 1 else 0]
        place = points[picture]
        for row in range(height):
            y = np.float64(row) + 0.5
            for column in range(width):
                key = nearest[picture, row, column]
                if key == NOTHING:
                    continue
                x = np.float64(column) + 0.5
                winner = key & TRIANGLE_BITS
                corners = mesh[winner]
                ax, ay, az = place[corners[0]]
                bx, by, bz = place[corners[1]]
                cx, cy, cz = place[corners[2]]
                a_x, a_y, b_x, b_y, c_x, c_y = ax - x, ay - y, bx - x, by - y, cx - x, cy - y
                a = b_x * c_y - b_y * c_x
                b = c_x * a_y - c_y * a_x
                c = a_x * b_y - a_y * b_x
                outward = np.sign(a + b + c)
                a, b, c = (
                    max(a * outward, _SMALLEST_DOUBLE),
                    max(b * outward, _SMALLEST_DOUBLE),
                    max(c * outward, _SMALLEST_DOUBLE),
                )
                area = a + b + c
                a, b, c = a / area, b / area, c / area
                out_triangle[picture, row, column] = winner
                out_weights[picture, row, column, 0] = a
                out_weights[picture, row, column, 1] = b
                out_weights[picture, row, column, 2] = c
                out_depth[picture, row, column] = a * az + b * bz + c * cz


@_compiled
def _interpolate(triangle: Any, weights: Any, triangles: Any, attributes: Any, out: Any) -> None:
    pictures, height, width = triangle.shape
    for picture in range(pictures):
        mesh = triangles[picture if len(triangles) > 1 else 0]
        values = attributes[picture if len(attributes) > 1 else 0]
        for row in range(height):
            for column in range(width):
                seen = triangle[picture, row, column]
                if seen < 0:
                    continue
                a, b, c = mesh[seen]
                at_a, at_b, at_c = weights[picture, row, column]
                for channel in range(values.shape[1]):
                    out[picture, row, column, channel] = (
                        at_a * values[a, channel] + at_b * values[b, channel] + at_c * values[c, channel]
                    )


@numba.njit(inline="always", error_model="numpy")
def _span(low: Any, high: Any, size: Any) -> Any:
    """First and last of the pixels whose centre lies in [low, high]; first > last where there is none."""
    end = np.float32(size)
    first = min(max(np.ceil(low - _HALF), _NONE), end)
    last = min(max(np.floor(high - _HALF), -_ONE), end - _ONE)
    return np.int64(first), np.int64(last)


@numba.njit(inline="always", error_model="numpy")
def _cross(y: Any, ax: Any, ay: Any, az: Any, bx: Any, by: Any, bz: Any) -> Any:
    """Point x, z of the edge a b, ay <= by, at y; exactly the end's where y is an end's."""
    t = (y - ay) / max(by - ay, _SMALLEST)
    s = _ONE - t
    return ax * s + bx * t, az * s + bz * t
