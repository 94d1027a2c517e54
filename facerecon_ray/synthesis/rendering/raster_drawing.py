"""Heads drawn with the project's own rasterizer, where there is no OpenGL: the same pictures, more slowly."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from facerecon_ray.geometry.rasterizer import Holes, interpolate, rasterize
from facerecon_ray.synthesis.rendering.camera_effects import to_linear
from facerecon_ray.synthesis.rendering.drawing import FULL_GLOSS, REFLECTANCE, SHEEN, SUPERSAMPLING, DrawnHead, LitView


class RasterDrawing:
    """Draws with twice the resolution, which is then averaged."""

    def __init__(self) -> None:
        self._head: DrawnHead | None = None
        self._textures: list[Tensor] = []

    def __call__(self, head: DrawnHead, view: LitView, size: int) -> np.ndarray:
        """(size, size, 4) float32 linear red, green, blue and coverage, colours multiplied by the coverage."""
        if head is not self._head:
            self._head = head
            self._textures = [_linear(part.texture) for part in head.parts]
            self._part_of = torch.cat([torch.full((p.stop - p.first,), i) for i, p in enumerate(head.parts)])
        fine = size * SUPERSAMPLING
        points = torch.from_numpy(view.points)[None] * SUPERSAMPLING
        drawn = self._drawn_triangles(head, points[0])
        triangles, parts = torch.from_numpy(head.triangles)[drawn], self._part_of[drawn]
        uv = torch.from_numpy(head.uv)
        pierced = torch.tensor([part.cut_out for part in head.parts])[parts]

        def shown(_: Tensor, triangle: Tensor, pixel: Tensor) -> Tensor:
            place = at_pixels(uv, triangles[triangle], points[0, :, :2], pixel, fine)
            opaque = torch.zeros(len(triangle), dtype=torch.bool)
            for index in parts[triangle].unique().tolist():
                of_part = parts[triangle] == index
                opaque[of_part] = _texels(self._textures[index], place[of_part])[:, 3] >= 0.5
            return opaque

        holes = Holes(pierced, shown) if bool(pierced.any()) else None
        fragments = rasterize(points, triangles, fine, fine, holes=holes)
        attributes = np.concatenate(
            [view.normals, view.light, view.surround, head.uv, head.gloss[:, None], view.lamp_visibility], axis=1
        )
        seen = fragments.mask[0]
        values = interpolate(fragments, triangles, torch.from_numpy(attributes))[0][seen]
        sizes = [3, 3, 3, 2, 1, view.lamp_visibility.shape[1]]
        normals, light, surround, place, gloss, visibility = values.split(sizes, -1)
        part = parts[fragments.triangle[0][seen]]
        albedo = torch.zeros(len(place), 3)
        for index, texture in enumerate(self._textures):
            of_part = part == index
            albedo[of_part] = _texels(texture, place[of_part])[:, :3]
        picture = torch.zeros(fine, fine, 4)
        lamps = (torch.from_numpy(v) for v in (view.lamp_directions, view.half_vectors(), view.mirrored_colours()))
        shine = mirrored_light(normals, surround, gloss, zip(*lamps, visibility.unbind(-1), strict=True))
        picture[seen] = torch.nn.functional.pad(albedo * light + shine, (0, 1), value=1.0)
        return avg_pool2d(picture.permute(2, 0, 1)[None], SUPERSAMPLING)[0].permute(1, 2, 0).contiguous().numpy()

    def _drawn_triangles(self, head: DrawnHead, points: Tensor) -> Tensor:
        """(T',) indices of the triangles that face the camera or are drawn on both sides."""
        two_sided = torch.tensor([part.two_sided for part in head.parts])[self._part_of]
        a, b, c = (points[corner] for corner in torch.from_numpy(head.triangles).T)
        area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
        return (two_sided | (area < 0)).nonzero()[:, 0]


def mirrored_light(normals: Tensor, surround: Tensor, gloss: Tensor, lamps: Iterable[tuple[Tensor, ...]]) -> Tensor:
    """(P, 3) highlights and sheen of P places, as in `drawing`.

    Parameters
    ----------
    normals : (P, 3) turned to the camera, of any length
    surround : (P, 3) what a mirror would show of the surroundings
    gloss : (P, 1)
    lamps : for each lamp towards, half vector and mirrored colour, (3,) or (P, 3) each, and visibility (P,)
    """
    n = normalize(normals, dim=-1)
    n = torch.where(n[:, 2:] < 0, -n, n)
    exponent = torch.exp2(1.0 + 9.0 * gloss[:, 0])
    total = surround * (REFLECTANCE + SHEEN * (1.0 - n[:, 2:].clamp(0.0, 1.0)) ** 4)
    for towards, half, colour, visibility in lamps:
        lobe = (exponent + 2.0) / 8.0 * (n * half).sum(-1).clamp(min=1e-6) ** exponent
        strength = lobe * (n * towards).sum(-1).clamp(min=0.0) * visibility
        total = total + strength[:, None] * colour
    return total * (gloss / FULL_GLOSS).clamp(max=1.0)


def at_pixels(values: Tensor, corners: Tensor, points: Tensor, pixel: Tensor, width: int) -> Tensor:
    """(P, C) values of vertices (N, C), seen at points (N, 2), at pixels (P,), row * width + column, each in a
    triangle with corners (P, 3)."""
    centre = torch.stack([pixel % width + 0.5, pixel.div(width, rounding_mode="floor") + 0.5], -1)
    a, b, c = (points[corner] - centre for corner in corners.T)
    areas = [p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0] for p, q in ((b, c), (c, a), (a, b))]
    whole = areas[0] + areas[1] + areas[2]
    shares = torch.stack([area / whole for area in areas], -1)
    return (shares[..., None] * values[corners]).sum(1)


def _linear(texture: np.ndarray) -> Tensor:
    """(H, W, 4) float32 linear colour and alpha of a texture with display values."""
    alpha = texture[..., 3:] if texture.shape[2] == 4 else np.full_like(texture[..., :1], 255)
    return torch.from_numpy(np.concatenate([to_linear(texture[..., :3]), alpha / np.float32(255.0)], axis=2))


def _texels(texture: Tensor, uv: Tensor) -> Tensor:
    """(P, 4) bilinear values at (P, 2), the border repeated beyond it."""
    height, width, _ = texture.shape
    x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
    left, top = x.floor(), y.floor()
    across, down = (x - left)[:, None], (y - top)[:, None]
    columns = [(left + step).long().clamp(0, width - 1) for step in (0, 1)]
    rows = [(top + step).long().clamp(0, height - 1) * width for step in (0, 1)]
    flat = texture.view(-1, 4)
    upper, lower = ((1 - across) * flat[row + columns[0]] + across * flat[row + columns[1]] for row in rows)
    return (1 - down) * upper + down * lower
