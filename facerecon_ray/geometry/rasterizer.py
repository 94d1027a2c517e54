"""Batched orthographic z-buffer rasterizer in plain torch, for CPU and CUDA.

Triangles are cut into pixel rows and rows into pixels, so that only covered pixels are ever listed. An edge's crossing
with a row is computed from the edge's own two ends, upper end first, and is therefore the same number in both of the
triangles that share the edge: a pixel centre beside it belongs to one of the two, and a closed mesh has no pinholes.

Image frame: pixels, x right, y down, z towards the camera; pixel centres at +0.5; the largest z is the nearest.
Front-facing triangles are counter-clockwise when seen from outside with y up, as in the model frame, so their signed
area (b - a) x (c - a) in pixels, where y is down, is negative.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

CANDIDATES_PER_CHUNK, CANDIDATES_PER_GPU_CHUNK = 1 << 17, 1 << 22
"""Bounding-box pixels that are worked on at once, the bound on memory: small enough for a CPU's cache, and enough for
a GPU to be busy with each operation for longer than it takes to start it."""

NOTHING = torch.iinfo(torch.int64).min

Shown = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Whether triangles are drawn at pixels: (P,) picture, (P,) triangle of that picture's mesh and (P,) pixel, which is
row * width + column, to (P,) bool."""


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees.

    triangle     (B, H, W) int64, index of the nearest triangle, -1 where there is none
    barycentric  (B, H, W, 3) float32, weights of that triangle's three corners, 0 where there is none
    depth        (B, H, W) float32, z in pixels, -inf where there is none
    """

    triangle: Tensor
    barycentric: Tensor
    depth: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, true where a surface is seen."""
        return self.triangle >= 0


@torch.no_grad()
def rasterize(
    points: Tensor,
    triangles: Tensor,
    height: int,
    width: int,
    cull_back: bool = False,
    shown: Shown | None = None,
) -> Fragments:
    """Find the nearest triangle at each pixel centre.

    Triangles of no area and triangles with a corner that is not finite are skipped. A pixel centre exactly on a
    triangle's border belongs to it; of triangles at the same depth the one with the largest index wins.

    Parameters
    ----------
    points : (B, N, 3) image frame, pixels
    triangles : (T, 3) int64, corners as indices into a picture's points; or (B, T, 3), a mesh of its own for each
        picture, where (0, 0, 0) fills up meshes of fewer triangles
    height, width : size of the picture in pixels
    cull_back : skip triangles that face away from the camera
    shown : for triangles with holes

    Returns
    -------
    Fragments on the device of points
    """
    points = points.float()
    return _fragments(_nearest(points, triangles, height, width, cull_back, shown), points, triangles)


@torch.no_grad()
def seen_triangles(points: Tensor, triangles: Tensor, height: int, width: int) -> Tensor:
    """(T,) bool, whether each triangle is the nearest at some pixel centre of some picture; as `rasterize` finds it.

    Parameters
    ----------
    points : (B, N, 3) image frame, pixels
    triangles : (T, 3) int64
    height, width : size of the pictures in pixels
    """
    keys = _nearest(points.float(), triangles, height, width)
    seen = torch.zeros(len(triangles), dtype=torch.bool, device=points.device)
    seen[keys[keys > NOTHING] & 0xFFFFFFFF] = True
    return seen


def _nearest(
    points: Tensor,
    triangles: Tensor,
    height: int,
    width: int,
    cull_back: bool = False,
    shown: Shown | None = None,
) -> Tensor:
    """(B, H, W) int64: depth in the upper 32 bits and nearest triangle in the lower ones, NOTHING where none is."""
    batch, vertex_count, _ = points.shape
    nearest = torch.full((batch * height * width,), NOTHING, dtype=torch.int64, device=points.device)
    components = points.permute(2, 0, 1).flatten(1)
    offsets = torch.arange(batch, device=points.device)[:, None] * vertex_count
    vertices = (triangles.expand(batch, -1, -1).permute(2, 0, 1) + offsets).flatten(1)
    count = triangles.shape[-2]
    corners = [component.index_select(0, corner) for corner in vertices for component in components]
    identity, top, rows, area = _on_picture(corners, height, width, cull_back)
    corners = _sorted_by_y([values.index_select(0, identity) for values in corners])
    image, triangle = identity.div(count, rounding_mode="floor"), identity % count
    for part in _chunks(area):
        pixel, depth, owner = _pixels([values[part] for values in corners], top[part], rows[part], width)
        picture, of = image[part].index_select(0, owner), triangle[part].index_select(0, owner)
        key = (_ordered_bits(depth) << 32) | of
        if shown is not None:
            key = key.where(shown(picture, of, pixel), NOTHING)
        nearest.scatter_reduce_(0, picture * (height * width) + pixel, key, "amax")
    return nearest.view(batch, height, width)


def interpolate(fragments: Fragments, triangles: Tensor, attributes: Tensor) -> Tensor:
    """Interpolate values of vertices over the pixels.

    Parameters
    ----------
    fragments : of B pictures
    triangles : (T, 3) or (B, T, 3) int64, as given to `rasterize`
    attributes : (B, N, C) or, the same for all pictures, (N, C) float

    Returns
    -------
    (B, H, W, C), zeros where there is no surface
    """
    _, height, width = fragments.triangle.shape
    seen = fragments.mask.flatten().nonzero()[:, 0]
    image = seen.div(height * width, rounding_mode="floor")
    vertices = _corners(triangles, image, fragments.triangle.flatten()[seen])
    if attributes.ndim == 3:
        vertices = vertices + image[:, None] * attributes.shape[1]
    weights = fragments.barycentric.reshape(-1, 3)[seen].to(attributes.dtype)
    flat = attributes.reshape(-1, attributes.shape[-1])
    values = torch.nn.functional.embedding_bag(vertices, flat, per_sample_weights=weights, mode="sum")
    result = attributes.new_zeros(fragments.mask.numel(), attributes.shape[-1])
    return result.index_copy_(0, seen, values).view(*fragments.triangle.shape, attributes.shape[-1])


def _on_picture(
    corners: list[Tensor], height: int, width: int, cull_back: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Triangles whose bounding box holds a pixel centre: their index, first row, number of rows and box area."""
    ax, ay, az, bx, by, bz, cx, cy, cz = corners
    left, right = _pixel_span(
        torch.minimum(torch.minimum(ax, bx), cx), torch.maximum(torch.maximum(ax, bx), cx), width
    )
    top, bottom = _pixel_span(
        torch.minimum(torch.minimum(ay, by), cy), torch.maximum(torch.maximum(ay, by), cy), height
    )
    doubled_area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    usable = (doubled_area < 0) if cull_back else (doubled_area != 0)
    usable &= (doubled_area + az + bz + cz).isfinite()
    identity = (usable & (left <= right) & (top <= bottom)).nonzero()[:, 0]
    left, right, top, bottom = (side[identity] for side in (left, right, top, bottom))
    rows = bottom - top + 1
    return identity, top, rows, rows * (right - left + 1)


def _pixel_span(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First and last of the pixels 0..size-1 whose centre lies in [low, high]; first > last where there is none."""
    first = (low - 0.5).ceil().clamp(0, size)
    last = (high - 0.5).floor().clamp(-1, size - 1)
    return first.long(), last.long()


def _chunks(area: Tensor) -> Iterator[slice]:
    """Runs of triangles of about as many bounding-box pixels as are worked on at once, of at least one triangle."""
    sums, size = area.cumsum(0), _chunk_size(area)
    total = int(sums[-1]) if len(sums) else 0
    limits = torch.arange(size, total + size, size, device=area.device)
    start = 0
    for stop in torch.searchsorted(sums, limits, right=True).tolist():
        if stop > start:
            yield slice(start, stop)
            start = stop


def _chunk_size(like: Tensor) -> int:
    return CANDIDATES_PER_GPU_CHUNK if like.is_cuda else CANDIDATES_PER_CHUNK


def _corners(triangles: Tensor, image: Tensor, triangle: Tensor) -> Tensor:
    """(P, 3) corners of triangles (P,) of pictures (P,), as indices into a picture's points."""
    if triangles.ndim == 3:
        return triangles.flatten(0, 1).index_select(0, image * triangles.shape[1] + triangle)
    return triangles.index_select(0, triangle)


def _sorted_by_y(corners: list[Tensor]) -> list[Tensor]:
    """Triangles (ax, ay, az, bx, ..., cz), each (M,), with their corners ordered by y."""
    a, b, c = corners[:3], corners[3:6], corners[6:]

    def order(p: list[Tensor], q: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        swap = p[1] > q[1]
        upper = [torch.where(swap, v, u) for u, v in zip(p, q, strict=True)]
        return upper, [torch.where(swap, u, v) for u, v in zip(p, q, strict=True)]

    a, b = order(a, b)
    b, c = order(b, c)
    a, b = order(a, b)
    return [*a, *b, *c]


def _pixels(corners: list[Tensor], top: Tensor, rows: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """List the pixels of triangles.

    Parameters
    ----------
    corners : ax, ay, az, bx, ..., cz of triangles, (M,) each, with the corners ordered by y
    top, rows : (M,) first row and number of rows

    Returns
    -------
    (P,) pixel as row * width + column, (P,) depth, (P,) index of the triangle
    """
    owner, step = _expand(rows)
    row = top.index_select(0, owner) + step
    y = row + 0.5
    ax, ay, az, bx, by, bz, cx, cy, cz = (values.index_select(0, owner) for values in corners)
    long_x, long_z = _cross(y, ax, ay, az, cx, cy, cz)
    upper = y < by
    short_x, short_z = _cross(
        y,
        *(torch.where(upper, p, q) for p, q in ((ax, bx), (ay, by), (az, bz))),
        *(torch.where(upper, p, q) for p, q in ((bx, cx), (by, cy), (bz, cz))),
    )
    first, last = _pixel_span(torch.minimum(long_x, short_x), torch.maximum(long_x, short_x), width)
    run = short_x - long_x
    slope = torch.where(run == 0, 0, (short_z - long_z) / run)
    line, step = _expand((last - first + 1).clamp(min=0))
    row, first, owner, x, z, slope = (v.index_select(0, line) for v in (row, first, owner, long_x, long_z, slope))
    column = first + step
    return row * width + column, z + (column + 0.5 - x) * slope, owner


def _expand(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (2, 3): the index 0 0 1 1 1 and the running number 0 1 0 1 2."""
    ends = counts.cumsum(0)
    index = torch.repeat_interleave(counts)
    return index, torch.arange(len(index), device=counts.device) - (ends - counts).index_select(0, index)


def _cross(y: Tensor, ax: Tensor, ay: Tensor, az: Tensor, bx: Tensor, by: Tensor, bz: Tensor) -> tuple[Tensor, Tensor]:
    """Point x, z of the edge a b, ay <= by, at y; exactly the end's where y is an end's."""
    t = (y - ay) / (by - ay).clamp(min=torch.finfo(y.dtype).tiny)
    s = 1 - t
    return ax * s + bx * t, az * s + bz * t


def _ordered_bits(values: Tensor) -> Tensor:
    """int64 within 32 bits that compare as the float32 values do."""
    bits = values.view(torch.int32)
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()


def _fragments(nearest: Tensor, points: Tensor, triangles: Tensor) -> Fragments:
    """Unpack the winners (B, H, W) and compute their barycentric coordinates and depth."""
    _, height, width = nearest.shape
    components = points.permute(2, 0, 1).flatten(1)
    keys = nearest.flatten()
    triangle = torch.full_like(keys, -1)
    barycentric = points.new_zeros(len(keys), 3)
    depth = points.new_full((len(keys),), -torch.inf)
    for seen in (keys > NOTHING).nonzero()[:, 0].split(_chunk_size(keys)):
        winner = keys.index_select(0, seen) & 0xFFFFFFFF
        image, pixel = seen.div(height * width, rounding_mode="floor"), seen % (height * width)
        vertices = _corners(triangles, image, winner).T + image * points.shape[1]
        x, y, z = ([component.index_select(0, corner).double() for corner in vertices] for component in components)
        centre_y, centre_x = pixel.div(width, rounding_mode="floor") + 0.5, pixel % width + 0.5
        x, y = [values - centre_x for values in x], [values - centre_y for values in y]
        a, b, c = (x[i] * y[j] - y[i] * x[j] for i, j in ((1, 2), (2, 0), (0, 1)))
        outward = (a + b + c).sign()
        a, b, c = ((part * outward).clamp(min=torch.finfo(torch.float64).tiny) for part in (a, b, c))
        area = a + b + c
        weights = (a / area, b / area, c / area)
        triangle.index_copy_(0, seen, winner)
        barycentric.index_copy_(0, seen, torch.stack(weights, 1).float())
        depth.index_copy_(0, seen, (weights[0] * z[0] + weights[1] * z[1] + weights[2] * z[2]).float())
    return Fragments(triangle.view(nearest.shape), barycentric.view(*nearest.shape, 3), depth.view(nearest.shape))
