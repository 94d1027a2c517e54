"""Texture of a face in the UV square: the photo's own colours, and where the photo shows none, the mirrored side's."""

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.turned_view import DEPTH_TOLERANCE, inside_photo, look_up_colours
from facerecon_ray.geometry.view_filling import spread_colours

CERTAIN, UNCERTAIN = 0.6, 0.35
"""Cosine of the angle between the normal and the line of sight at which a colour counts fully, and no longer counts.
Near its outline a fitted face may be wider than the real one, and the photo shows the background there."""

COARSE = 16
"""UV pixels over which normals are averaged for that: a crease inside the face is no outline."""

SOFT_BORDER = 7
"""UV pixels over which the photo's colours turn into mirrored ones."""


@torch.no_grad()
def face_texture(
    layout: UvLayout, maps: Tensor, photos: Tensor, scale: Tensor, bounds: Tensor | None = None
) -> Tensor:
    """Take the colours of faces from their photos.

    Parameters
    ----------
    layout : of the face model
    maps : (B, 256, 256, 3) position maps
    photos : (B, 3, H, W) float32 0 to 255, the crops that the maps are of
    scale : (B,) pixels per metre
    bounds : (B, 4, 3) borders of what the crops really show, as `photo_bounds` gives them; None if all of them

    Returns
    -------
    (B, 3, 256, 256) float32 0 to 255
    """
    height, width = photos.shape[-2:]
    points = layout.vertices_from_map(maps)
    fragments = rasterize(points, layout.triangles, height, width, cull_back=True)
    facing = vertex_normals(points, layout.triangles)[..., 2:]
    places = maps.new_zeros(len(maps), MAP_SIZE, MAP_SIZE, 4, dtype=torch.float32)
    places[:, layout.mask] = torch.cat([layout.points_from_map(maps), layout.over_pixels(facing)], -1)
    coarse_facing = functional.avg_pool2d(places[..., 3][:, None], COARSE)
    certainty = functional.interpolate(
        ((coarse_facing - UNCERTAIN) / (CERTAIN - UNCERTAIN)).clamp(0, 1), scale_factor=COARSE, mode="bilinear"
    )
    trust = None if bounds is None else inside_photo(bounds, height, width)
    colours, seen = look_up_colours(photos, fragments, places, DEPTH_TOLERANCE * scale, trust)
    seen = certainty * torch.minimum(seen, _mean_around(seen))
    mirror_grid = (2 * layout.mirror_uv - 1).expand(len(maps), -1, -1, -1)
    mirrored, mirror_seen = (
        functional.grid_sample(picture, mirror_grid, padding_mode="border", align_corners=False)
        for picture in (colours, seen)
    )
    from_mirror = (1 - seen) * mirror_seen
    known = seen + from_mirror
    merged = colours * seen + mirrored * from_mirror
    return merged + spread_colours(merged, known) * (1 - known)


def _mean_around(values: Tensor) -> Tensor:
    """Mean over `SOFT_BORDER` x `SOFT_BORDER` pixels."""
    half = SOFT_BORDER // 2
    along_rows = functional.avg_pool2d(values, (1, SOFT_BORDER), 1, (0, half), count_include_pad=False)
    return functional.avg_pool2d(along_rows, (SOFT_BORDER, 1), 1, (half, 0), count_include_pad=False)
