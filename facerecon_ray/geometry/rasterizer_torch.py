"""Nearest triangles at pixel centres in plain torch: what the rasterizer is, on every device.

Triangles are cut into pixel rows and rows into pixels, so that only covered pixels are ever listed. An edge's crossing
with a row is computed from the edge's own two ends, upper end first, and is therefore the same number in both of the
triangles that share the edge: a pixel centre beside it belongs to one of the two, and a closed mesh has no pinholes.

What wins a pixel is a key, an int64: the depth, as 32 bits that compare as floats do, above the triangle's index.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CANDIDATES_PER_CHUNK, CANDIDATES_PER_GPU_CHUNK = 1 << 17, 1 << 22
"""Bounding-box pixels that are worked on at once, the bound on memory: small enough for a CPU's cache, and enough for
a GPU to be busy with each operation for longer than it takes to start it."""

NOTHING = torch.iinfo(torch.int64).min
"""The key of a pixel that sees no triangle."""

TRIANGLE_BITS = 0xFFFFFFFF
"""Where in a key the triangle is."""

Shown = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Whether triangles are drawn at pixels: (P,) picture, (P,) triangle of that picture's mesh and (P,) pixel, which is
row * width + column, to (P,) bool."""


def draw(
    nearest: Tensor,
    points: Tensor,
    triangles: Tensor,
    cull_back: bool = False,
    shown: Shown | None = None,
) -> None:
    """Enter triangles into pictures where they are nearer than what those have.

    Parameters
    ----------
    nearest : (B, H, W) int64 keys, which are changed
    points : (B, N, 3) float32 image frame, pixels
    triangles : (T, 3) or (B, T, 3) int64
    cull_back : skip triangles that face away from the camera
    shown : is asked about those pixels at which a triangle would be the nearest; None: they are drawn
    """
    batch, height, width = nearest.shape
    keys, vertex_count = nearest.view(-1), points.shape[1]
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
        key, place = (_ordered_bits(depth) << 32) | of, picture * (height * width) + pixel
        if shown is not None:
            before = (key > keys.index_select(0, place)).nonzero()[:, 0]
            key, place, picture, of, pixel = (v.index_select(0, before) for v in (key, place, picture, of, pixel))
            key = key.where(shown(picture, of, pixel), NOTHING)
        keys.scatter_reduce_(0, place, key, "amax")


def resolve(nearest: Tensor, points: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle (B, H, W), barycentric coordinates (B, H, W, 3) and depth (B, H, W) of the winners (B, H, W)."""
    _, height, width = nearest.shape
    components = points.permute(2, 0, 1).flatten(1)
    keys = nearest.flatten()
    triangle = torch.full_like(keys, -1)
    barycentric = points.new_zeros(len(keys), 3)
    depth = points.new_full((len(keys),), -torch.inf)
    for seen in (keys > NOTHING).nonzero()[:, 0].split(_chunk_size(keys)):
        winner = keys.index_select(0, seen) & TRIANGLE_BITS
        image, pixel = seen.div(height * width, rounding_mode="floor"), seen % (height * width)
        vertices = corners_of(triangles, image, winner).T + image * points.shape[1]
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
    return triangle.view(nearest.shape), barycentric.view(*nearest.shape, 3), depth.view(nearest.shape)


def corners_of(triangles: Tensor, image: Tensor, triangle: Tensor) -> Tensor:
    """(P, 3) corners of triangles (P,) of pictures (P,), as indices into a picture's points."""
    if triangles.ndim == 3:
        return triangles.flatten(0, 1).index_select(0, image * triangles.shape[1] + triangle)
    return triangles.index_select(0, triangle)


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
