"""Nearest triangles at pixel centres as Triton kernels: `rasterizer_torch` in one pass over the triangles, without
lists of pixels in memory.

Each program draws some triangles, a tile of their rows and columns at a time; where triangles meet, the larger key
wins. All numbers are computed in the order of the plain path and rounded after each operation, without multiplying and
adding at once, so that the results are the same to the bit. Heads' triangles cover a few pixels each, which is what
the tile is sized for; larger ones take more turns.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from facerecon_ray.geometry import rasterizer_torch

TRIANGLES, ROWS, COLUMNS = 16, 4, 4
"""Tile of a program."""

PIXELS = 256
"""Whose winners a program unpacks."""

NOTHING = tl.constexpr(rasterizer_torch.NOTHING)
TRIANGLE_BITS = tl.constexpr(rasterizer_torch.TRIANGLE_BITS)
SMALLEST = tl.constexpr(torch.finfo(torch.float32).tiny)
SMALLEST_DOUBLE = tl.constexpr(torch.finfo(torch.float64).tiny)
ENDLESS = tl.constexpr(float("inf"))


def draw(nearest: Tensor, points: Tensor, triangles: Tensor, cull_back: bool = False) -> None:
    """Enter triangles into pictures where they are nearer than what those have, as `rasterizer_torch.draw` does.

    Parameters
    ----------
    nearest : (B, H, W) int64 keys, which are changed
    points : (B, N, 3) float32 image frame, pixels
    triangles : (T, 3) or (B, T, 3) int64
    cull_back : skip triangles that face away from the camera
    """
    batch, height, width = nearest.shape
    total = batch * triangles.shape[-2]
    if nearest.numel() == 0 or total == 0:
        return
    with torch.accelerator.device_index(points.device.index):
        _draw[(triton.cdiv(total, TRIANGLES),)](
            nearest,
            points.contiguous(),
            triangles.contiguous(),
            points.shape[1],
            triangles.shape[-2],
            total,
            height,
            width,
            own=triangles.ndim == 3,
            cull_back=cull_back,
            per_program=TRIANGLES,
            rows_at_once=ROWS,
            columns_at_once=COLUMNS,
            enable_fp_fusion=False,
        )


def resolve(nearest: Tensor, points: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle (B, H, W), barycentric coordinates (B, H, W, 3) and depth (B, H, W) of the winners (B, H, W)."""
    triangle = torch.full_like(nearest, -1)
    barycentric = points.new_zeros(*nearest.shape, 3)
    depth = points.new_full(nearest.shape, -torch.inf)
    if nearest.numel() == 0:
        return triangle, barycentric, depth
    with torch.accelerator.device_index(points.device.index):
        _resolve[(triton.cdiv(nearest.numel(), PIXELS),)](
            nearest,
            points.contiguous(),
            triangles.contiguous(),
            triangle,
            barycentric,
            depth,
            points.shape[1],
            triangles.shape[-2],
            *nearest.shape[1:],
            nearest.numel(),
            own=triangles.ndim == 3,
            per_program=PIXELS,
            enable_fp_fusion=False,
        )
    return triangle, barycentric, depth


@triton.jit
def _draw(
    nearest,
    points,
    triangles,
    vertices,
    count,
    total,
    height,
    width,
    own: tl.constexpr,
    cull_back: tl.constexpr,
    per_program: tl.constexpr,
    rows_at_once: tl.constexpr,
    columns_at_once: tl.constexpr,
):
    index = tl.program_id(0).to(tl.int64) * per_program + tl.arange(0, per_program)
    inside = index < total
    picture = index // count
    triangle = index % count
    corner = triangles + 3 * (index if own else triangle)
    base = points + 3 * vertices * picture
    ax, ay, az = _point(base, corner, inside)
    bx, by, bz = _point(base, corner + 1, inside)
    cx, cy, cz = _point(base, corner + 2, inside)

    doubled_area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    usable = (doubled_area < 0) if cull_back else (doubled_area != 0)
    usable = usable & inside & (tl.abs(doubled_area + az + bz + cz) < ENDLESS)
    left, right = _span(tl.minimum(tl.minimum(ax, bx), cx), tl.maximum(tl.maximum(ax, bx), cx), usable, width)
    top, bottom = _span(tl.minimum(tl.minimum(ay, by), cy), tl.maximum(tl.maximum(ay, by), cy), usable, height)
    rows = tl.where(usable & (left <= right), bottom - top + 1, 0)

    ax, ay, az, bx, by, bz = _ordered(ax, ay, az, bx, by, bz)
    bx, by, bz, cx, cy, cz = _ordered(bx, by, bz, cx, cy, cz)
    ax, ay, az, bx, by, bz = _ordered(ax, ay, az, bx, by, bz)
    ax, ay, az = ax[:, None], ay[:, None], az[:, None]
    bx, by, bz = bx[:, None], by[:, None], bz[:, None]
    cx, cy, cz = cx[:, None], cy[:, None], cz[:, None]

    picture_start = nearest + picture[:, None, None] * height * width
    for begin in range(0, tl.max(rows), rows_at_once):
        step = begin + tl.arange(0, rows_at_once)[None, :]
        used = step < rows[:, None]
        row = top[:, None] + step
        y = row.to(tl.float32) + 0.5
        long_x, long_z = _cross(y, ax, ay, az, cx, cy, cz)
        upper = y < by
        short_x, short_z = _cross(
            y,
            tl.where(upper, ax, bx),
            tl.where(upper, ay, by),
            tl.where(upper, az, bz),
            tl.where(upper, bx, cx),
            tl.where(upper, by, cy),
            tl.where(upper, bz, cz),
        )
        first, last = _span(tl.minimum(long_x, short_x), tl.maximum(long_x, short_x), used, width)
        length = tl.where(used, last - first + 1, 0)
        run = short_x - long_x
        slope = tl.where(run == 0, 0.0, tl.div_rn(short_z - long_z, tl.where(run == 0, 1.0, run)))
        x, z, slope = long_x[:, :, None], long_z[:, :, None], slope[:, :, None]
        line_start = picture_start + (row * width + first)[:, :, None]
        for ahead in range(0, tl.max(tl.max(length, 1), 0), columns_at_once):
            across = ahead + tl.arange(0, columns_at_once)[None, None, :]
            centre = (first[:, :, None] + across).to(tl.float32) + 0.5
            bits = (z + (centre - x) * slope).to(tl.int32, bitcast=True)
            bits = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
            key = (bits.to(tl.int64) << 32) | triangle[:, None, None]
            tl.atomic_max(line_start + across, key, mask=across < length[:, :, None], sem="relaxed")


@triton.jit
def _resolve(
    nearest,
    points,
    triangles,
    out_triangle,
    out_barycentric,
    out_depth,
    vertices,
    count,
    height,
    width,
    total,
    own: tl.constexpr,
    per_program: tl.constexpr,
):
    place = tl.program_id(0).to(tl.int64) * per_program + tl.arange(0, per_program)
    key = tl.load(nearest + place, mask=place < total, other=NOTHING)
    seen = key > NOTHING
    winner = key & TRIANGLE_BITS
    picture = place // (height * width)
    pixel = place % (height * width)
    corner = triangles + 3 * (winner + count * picture if own else winner)
    base = points + 3 * vertices * picture
    ax, ay, az = _point(base, corner, seen)
    bx, by, bz = _point(base, corner + 1, seen)
    cx, cy, cz = _point(base, corner + 2, seen)
    across = (pixel % width).to(tl.float32) + 0.5
    down = (pixel // width).to(tl.float32) + 0.5
    ax, bx, cx = ax.to(tl.float64) - across, bx.to(tl.float64) - across, cx.to(tl.float64) - across
    ay, by, cy = ay.to(tl.float64) - down, by.to(tl.float64) - down, cy.to(tl.float64) - down
    a = bx * cy - by * cx
    b = cx * ay - cy * ax
    c = ax * by - ay * bx
    signed = a + b + c
    outward = tl.where(signed > 0, 1.0, tl.where(signed < 0, -1.0, 0.0)).to(tl.float64)
    a = tl.maximum(a * outward, SMALLEST_DOUBLE)
    b = tl.maximum(b * outward, SMALLEST_DOUBLE)
    c = tl.maximum(c * outward, SMALLEST_DOUBLE)
    area = a + b + c
    a, b, c = a / area, b / area, c / area
    depth = a * az.to(tl.float64) + b * bz.to(tl.float64) + c * cz.to(tl.float64)
    tl.store(out_triangle + place, winner, mask=seen)
    tl.store(out_barycentric + 3 * place, a.to(tl.float32), mask=seen)
    tl.store(out_barycentric + 3 * place + 1, b.to(tl.float32), mask=seen)
    tl.store(out_barycentric + 3 * place + 2, c.to(tl.float32), mask=seen)
    tl.store(out_depth + place, depth.to(tl.float32), mask=seen)


@triton.jit
def _point(base, corner, wanted):
    """x, y and z of the points whose indices stand at places."""
    place = base + 3 * tl.load(corner, mask=wanted, other=0)
    x = tl.load(place, mask=wanted, other=0.0)
    y = tl.load(place + 1, mask=wanted, other=0.0)
    z = tl.load(place + 2, mask=wanted, other=0.0)
    return x, y, z


@triton.jit
def _span(low, high, wanted, size):
    """First and last of the pixels whose centre lies in [low, high]; first > last where there is none."""
    low, high = tl.where(wanted, low, 0.0), tl.where(wanted, high, 0.0)
    end = tl.cast(size, tl.float32)
    first = tl.minimum(tl.maximum(tl.ceil(low - 0.5), 0.0), end)
    last = tl.minimum(tl.maximum(tl.floor(high - 0.5), -1.0), end - 1.0)
    return first.to(tl.int32), last.to(tl.int32)


@triton.jit
def _ordered(px, py, pz, qx, qy, qz):
    """Two points, the upper one first."""
    swap = py > qy
    return (
        tl.where(swap, qx, px),
        tl.where(swap, qy, py),
        tl.where(swap, qz, pz),
        tl.where(swap, px, qx),
        tl.where(swap, py, qy),
        tl.where(swap, pz, qz),
    )


@triton.jit
def _cross(y, ax, ay, az, bx, by, bz):
    """Point x, z of the edge a b, ay <= by, at y; exactly the end's where y is an end's."""
    t = tl.div_rn(y - ay, tl.maximum(by - ay, SMALLEST))
    s = 1.0 - t
    return ax * s + bx * t, az * s + bz * t
