"""Dressed heads drawn in batches: what `rendering.raster_drawing` does for one view, with a mesh for each picture."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from facerecon_ray.geometry.rasterizer import Fragments, Holes, interpolate, rasterize
from facerecon_ray.synthesis.batched.light import LitHeads, half_vectors, mirrored_colours
from facerecon_ray.synthesis.batched.views import ViewBatch
from facerecon_ray.synthesis.batched.wardrobe import CUT_OUT, HEIGHT, OFFSET, TWO_SIDED, WIDTH, Wardrobe
from facerecon_ray.synthesis.rendering.camera_effects import to_linear
from facerecon_ray.synthesis.rendering.drawing import MAX_LAMPS, SUPERSAMPLING
from facerecon_ray.synthesis.rendering.raster_drawing import at_pixels, mirrored_light

OPAQUE = 0.5


def smooth_normals(heads: Wardrobe, vertices: Tensor) -> Tensor:
    """(B, N, 3) unit vectors at vertices (B, N, 3), head frame: the heads' own ones where they keep those."""
    batch, count, _ = vertices.shape
    a, b, c = (_gathered(vertices, corner) for corner in heads.triangles.unbind(-1))
    outward = torch.linalg.cross(b - a, c - a, dim=-1).flatten(0, 1)
    offsets = torch.arange(batch, device=vertices.device)[:, None] * count
    sums = torch.zeros_like(vertices).flatten(0, 1)
    for corner in heads.triangles.unbind(-1):
        sums.index_add_(0, (_index(heads.welded, corner) + offsets).flatten(), outward)
    smooth = normalize(_gathered(sums.view_as(vertices), heads.welded), dim=-1)
    own = heads.own_normals
    return torch.where((own != 0).any(-1, keepdim=True), own, smooth)


def draw(
    heads: Wardrobe, points: Tensor, normals: Tensor, rotation: Tensor, lit: LitHeads, views: ViewBatch, size: int
) -> Tensor:
    """Draw heads.

    Parameters
    ----------
    heads : B rows
    points : (B, N, 3) image frame, pixels of pictures of size x size
    normals : (B, N, 3) head frame
    rotation : (B, 3, 3) head frame to camera axes
    lit : light at the vertices
    views : B views
    size : pixels

    Returns
    -------
    (B, 4, size, size) linear red, green, blue and coverage, colours multiplied by the coverage
    """
    fine = size * SUPERSAMPLING
    points = points * SUPERSAMPLING
    triangles = _drawn_triangles(heads, points)
    textures = _Textures(heads)
    fragments = rasterize(points, triangles, fine, fine, holes=_holes(textures, points, triangles, fine))
    attributes = torch.cat(
        [normals @ rotation.mT, lit.light, lit.surround, heads.uv, heads.gloss[..., None], lit.lamp_visibility], -1
    )
    seen = fragments.mask
    values = interpolate(fragments, triangles, attributes)[seen]
    normal, light, surround, uv, gloss, visibility = values.split([3, 3, 3, 2, 1, MAX_LAMPS], -1)
    image, triangle = _owners(fragments)
    albedo = textures.colours(image, heads.part_of[image, triangle].long(), uv)
    lamps = (
        values[image].unbind(1) for values in (views.lamp_directions, half_vectors(views), mirrored_colours(views))
    )
    shine = mirrored_light(normal, surround, gloss, zip(*lamps, visibility.unbind(-1), strict=True))
    colour = (albedo * light + shine) * lit.exposure[image, None]
    picture = points.new_zeros(*seen.shape, 4)
    picture[seen] = torch.nn.functional.pad(colour, (0, 1), value=1.0)
    return avg_pool2d(picture.permute(0, 3, 1, 2), SUPERSAMPLING)


def _owners(fragments: Fragments) -> tuple[Tensor, Tensor]:
    """(P,) picture and (P,) triangle of the pixels that show anything."""
    place = fragments.mask.flatten().nonzero()[:, 0]
    _, height, width = fragments.mask.shape
    return place.div(height * width, rounding_mode="floor"), fragments.triangle.flatten()[place]


def _drawn_triangles(heads: Wardrobe, points: Tensor) -> Tensor:
    """(B, T, 3) triangles; those that face away and are drawn on one side only are (0, 0, 0)."""
    x, y = points[..., 0], points[..., 1]
    (ax, ay), (bx, by), (cx, cy) = ((_index(x, corner), _index(y, corner)) for corner in heads.triangles.unbind(-1))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    two_sided = _index(heads.parts[..., TWO_SIDED], heads.part_of.long()) > 0
    return heads.triangles * (two_sided | (area < 0))[..., None]


class _Textures:
    """Colours and holes of the parts of B heads."""

    def __init__(self, heads: Wardrobe) -> None:
        self.heads = heads
        levels = torch.arange(256, dtype=torch.uint8).numpy()
        self._linear = torch.from_numpy(to_linear(levels)).to(heads.vertices)

    def colours(self, image: Tensor, part: Tensor, uv: Tensor) -> Tensor:
        """(P, 3) linear colours at places (P, 2) of parts (P,) of heads (P,)."""
        total = uv.new_zeros(len(uv), 3)
        for texel, weight in self._taps(image, part, uv):
            total += self._linear[self.heads.texels[texel, :3].long()] * weight[:, None]
        return total

    def opaque(self, image: Tensor, part: Tensor, uv: Tensor) -> Tensor:
        """(P,) bool, whether anything is drawn there."""
        alpha = uv.new_zeros(len(uv))
        for texel, weight in self._taps(image, part, uv):
            alpha += self.heads.texels[texel, 3] * weight
        return alpha >= OPAQUE * 255

    def _taps(self, image: Tensor, part: Tensor, uv: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The four texels around places and their weights, the border repeated beyond it."""
        table = self.heads.parts[image, part]
        offset, height, width = (table[:, column] for column in (OFFSET, HEIGHT, WIDTH))
        x, y = uv[:, 0] * width - 0.5, uv[:, 1] * height - 0.5
        left, top = x.floor(), y.floor()
        taps = []
        for down in (0, 1):
            row = torch.minimum((top + down).long().clamp(min=0), height - 1)
            in_row = (y - top) if down else 1.0 - (y - top)
            for across in (0, 1):
                column = torch.minimum((left + across).long().clamp(min=0), width - 1)
                in_column = (x - left) if across else 1.0 - (x - left)
                taps.append((offset + row * width + column, in_row * in_column))
        return taps


def _holes(textures: _Textures, points: Tensor, triangles: Tensor, width: int) -> Holes:
    """Where the heads' triangles are drawn in pictures of some width."""
    heads = textures.heads
    part_of, vertices = heads.part_of.long(), heads.vertices.shape[1]
    places, uv = points[..., :2].reshape(-1, 2), heads.uv.reshape(-1, 2)

    def shown(picture: Tensor, triangle: Tensor, pixel: Tensor) -> Tensor:
        corners = triangles[picture, triangle] + picture[:, None] * vertices
        place = at_pixels(uv, corners, places, pixel, width)
        return textures.opaque(picture, part_of[picture, triangle], place)

    return Holes(_index(heads.parts[..., CUT_OUT], part_of) > 0, shown)


def _index(values: Tensor, index: Tensor) -> Tensor:
    """(B, K) values (B, N) at indices (B, K)."""
    return values.gather(1, index)


def _gathered(values: Tensor, index: Tensor) -> Tensor:
    """(B, K, 3) rows of (B, N, 3) at indices (B, K)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))
