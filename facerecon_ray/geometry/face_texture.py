"""Texture of a face in the UV square: the photo's own colours, and where the photo shows none, the mirrored side's."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.box_means import mean_around
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.turned_view import DEPTH_TOLERANCE, how_well_seen, inside_photo
from facerecon_ray.geometry.view_filling import spread_colours

CERTAIN, UNCERTAIN = 0.6, 0.35
"""Cosine of the angle between the normal and the line of sight at which a colour counts fully, and no longer counts.
Near its outline a fitted face may be wider than the real one, and the photo shows the background there."""

COARSE = 16
"""UV pixels over which normals are averaged for that: a crease inside the face is no outline."""

SOFT_BORDER = 7
"""UV pixels over which the photo's colours turn into mirrored ones."""

SPREAD = 4
"""UV pixels of the blocks to which the colours of places that nothing shows are worked out: they are smooth."""


@torch.no_grad()
def face_textures(
    layout: UvLayout,
    maps: Tensor,
    pictures: Sequence[np.ndarray],
    scale: Tensor,
    bounds: Tensor | None = None,
) -> list[np.ndarray]:
    """Take the colours of faces from pictures of them.

    Parameters
    ----------
    layout : of the face model
    maps : (B, 256, 256, 3) position maps
    pictures : B of (S, S, 3) uint8, what the maps' crops show, each with pixels as fine as its photo has them
    scale : (B,) the crops' pixels per metre
    bounds : (B, 4, 3) borders of what the crops really show, as `photo_bounds` gives them; None if all of them

    Returns
    -------
    B of (S, S, 3) uint8, each as large as its picture: across the middle of the face, a UV pixel of a map is about as
    wide as a pixel of the crop
    """
    places, seen = _places_seen(layout, maps, scale, bounds)
    mirror_grid = (2 * layout.mirror_uv - 1).expand(len(maps), -1, -1, -1)
    both = torch.cat([places, seen], 1)
    mirrored = functional.grid_sample(both, mirror_grid, padding_mode="border", align_corners=False)
    from_mirror = (1 - seen) * mirrored[:, 2:]
    known = seen + from_mirror
    weights = torch.cat([seen, from_mirror], 1).numpy()
    shares = torch.cat([places, mirrored[:, :2]], 1).numpy() / CROP_SIZE
    shown = [_looked_up(*rows) for rows in zip(pictures, shares, weights, strict=True)]
    small = [cv2.resize(picture, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA) for picture in shown]
    colours = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2) * known
    spread = spread_colours(functional.avg_pool2d(colours, SPREAD), functional.avg_pool2d(known, SPREAD))
    rows = zip(shown, spread.permute(0, 2, 3, 1).numpy(), known[:, 0].numpy(), strict=True)
    return [_completed(*row) for row in rows]


def _places_seen(layout: UvLayout, maps: Tensor, scale: Tensor, bounds: Tensor | None) -> tuple[Tensor, Tensor]:
    """(B, 2, 256, 256) where each UV pixel's point lies in the crop, and (B, 1, 256, 256) how far its colour there is
    the face's own, 0 to 1."""
    points = layout.vertices_from_map(maps)
    fragments = rasterize(points, layout.triangles, CROP_SIZE, CROP_SIZE, cull_back=True)
    facing = vertex_normals(points, layout.triangles)[..., 2:]
    places = maps.new_zeros(len(maps), MAP_SIZE, MAP_SIZE, 4, dtype=torch.float32)
    places[:, layout.mask] = torch.cat([layout.points_from_map(maps), layout.over_pixels(facing)], -1)
    coarse_facing = functional.avg_pool2d(places[..., 3][:, None], COARSE)
    certainty = functional.interpolate(
        ((coarse_facing - UNCERTAIN) / (CERTAIN - UNCERTAIN)).clamp(0, 1), scale_factor=COARSE, mode="bilinear"
    )
    trust = None if bounds is None else inside_photo(bounds, CROP_SIZE, CROP_SIZE)
    seen = how_well_seen(fragments, places, DEPTH_TOLERANCE * scale, trust)
    return places[..., :2].permute(0, 3, 1, 2), certainty * torch.minimum(seen, mean_around(seen, SOFT_BORDER // 2))


def _looked_up(picture: np.ndarray, shares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 a face's own colours and those of its mirrored side, mixed; black where neither counts.

    Parameters
    ----------
    picture : (S, S, 3) uint8
    shares : (4, 256, 256) places of each UV pixel's point, x and y, and of the mirrored one, shares of the picture
    weights : (2, 256, 256) of the two
    """
    size = picture.shape[:2]
    # OpenCV puts pixel centres at whole numbers.
    own_x, own_y, other_x, other_y = (_enlarged(share * len(picture) - 0.5, size) for share in shares)
    own, other = (
        cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for x, y in ((own_x, own_y), (other_x, other_y))
    )
    return np.asarray(cv2.blendLinear(own, other, *(_enlarged(weight, size) for weight in weights)))


def _completed(shown: np.ndarray, spread: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 the colours that are known, (S, S, 3), and as far as they are not, spread ones (64, 64, 3)."""
    size = shown.shape[:2]
    smooth = _enlarged(spread.round().clip(0, 255).astype(np.uint8), size)
    certain = _enlarged(known, size)
    return np.asarray(cv2.blendLinear(shown, smooth, certain, 1 - certain))


def _enlarged(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR))
