"""Light on a batch of dressed heads: what `rendering.lighting` and `LitScene` do for one view, as tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from facerecon_ray.synthesis.batched.views import ViewBatch
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.synthesis.rendering.drawing import REFLECTANCE
from facerecon_ray.synthesis.rendering.lighting import (
    BOUNCE,
    HARMONIC_0,
    WRAP,
    directions,
    harmonics_of,
)
from facerecon_ray.synthesis.rendering.scene_rendering import SKIN_EXPOSED, USUAL_SKIN

ELEMENTS = 1 << 23
"""Pairs of vertex and direction that are worked on at once, the bound on memory; on a GPU more of them."""

ELEMENTS_ON_GPU = 1 << 27


@dataclass(frozen=True, eq=False)
class LitHeads:
    """Light at the vertices of B heads, as in `LitView`.

    light            (B, N, 3)
    surround         (B, N, 3)
    lamp_visibility  (B, N, 2)
    exposure         (B,) factor on linear light
    """

    light: Tensor
    surround: Tensor
    lamp_visibility: Tensor
    exposure: Tensor


def lit(heads: Wardrobe, normals: Tensor, rotation: Tensor, views: ViewBatch) -> LitHeads:
    """Light the vertices of heads.

    Parameters
    ----------
    heads : B rows
    normals : (B, N, 3) unit vectors, head frame
    rotation : (B, 3, 3) head frame to camera axes
    views : B views
    """
    towards = torch.from_numpy(directions()).to(normals)
    radiance, shares = _radiance(views, towards @ rotation.mT)
    visible, reach, creep, skin = heads.visible, heads.reach[..., None], heads.creep, heads.skin
    transferred = [
        _transferred(visible[i], creep[i], skin[i], normals[i], radiance[i], shares[i], towards)
        for i in _runs(normals, len(towards))
    ]
    light, lamp_visibility, unhidden = (torch.cat(parts) * reach for parts in zip(*transferred, strict=True))
    surround = _surround(views, _mirrored(normals @ rotation.mT)) * unhidden
    return LitHeads(light, surround, lamp_visibility, _exposure(heads, views, towards))


def half_vectors(views: ViewBatch) -> Tensor:
    """(B, 2, 3) unit vectors between the lamps and the viewer."""
    return normalize(views.lamp_directions + views.angles.new_tensor([0.0, 0.0, 1.0]), dim=-1)


def mirrored_colours(views: ViewBatch) -> Tensor:
    """(B, 2, 3) what a surface mirrors of the lamps, more of it where light only grazes; see `LitView`."""
    grazing = (1.0 - half_vectors(views)[..., 2:].clamp(0.0, 1.0)) ** 5
    return views.lamp_colours * (REFLECTANCE + (1.0 - REFLECTANCE) * grazing)


def _runs(normals: Tensor, count: int) -> list[slice]:
    elements = ELEMENTS_ON_GPU if normals.is_cuda else ELEMENTS
    rows = max(1, elements // (normals.shape[1] * count))
    return [slice(start, start + rows) for start in range(0, len(normals), rows)]


def _transferred(
    visible: Tensor, creep: Tensor, skin: Tensor, normals: Tensor, radiance: Tensor, shares: Tensor, towards: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Light (B, N, 3), the lamps' visibility (B, N, 2) and the share of the surroundings that is seen (B, N, 1), as
    they are where nothing lies in a hollow."""
    visible = visible.to(normals.dtype) / 255.0
    cosine = normals @ towards.T
    front = cosine.clamp(min=0.0)
    hidden = 1.0 - (front * visible).sum(-1, keepdim=True) / front.sum(-1, keepdim=True).clamp(min=1e-6)
    power = 4.0 / len(towards)
    plain = (front * visible) @ radiance * power
    soft = ((cosine + WRAP).clamp(min=0.0) / (1.0 + WRAP) ** 2 * visible) @ radiance * power
    bounced = hidden * (radiance.mean(1) * skin * BOUNCE)[:, None]
    return plain + creep * (soft - plain) + bounced, visible @ shares, 1.0 - hidden


def _radiance(views: ViewBatch, towards: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, 3) radiance from directions (B, K, 3) of the camera's frame, and (B, K, 2) the lamps' shares."""
    sharpness = torch.rad2deg(torch.ones_like(views.lamp_widths)) ** 2 / views.lamp_widths**2
    lobes = (sharpness[:, None] * (towards @ views.lamp_directions.mT - 1.0)).exp()
    shares = lobes / lobes.sum(1, keepdim=True).clamp(min=1e-12)
    return _surround(views, towards) + shares @ views.lamp_colours * (towards.shape[1] / 4.0), shares


def _surround(views: ViewBatch, towards: Tensor) -> Tensor:
    """(B, K, 3) radiance of the surroundings alone."""
    least = 0.02 * views.environment[:, :1] * HARMONIC_0
    return torch.maximum(harmonics_of(towards) @ views.environment, least)


def _mirrored(normals: Tensor) -> Tensor:
    """(B, N, 3) where a mirror would look, for normals in the camera's frame."""
    facing = torch.where(normals[..., 2:] < 0.0, -normals, normals)
    return 2.0 * facing[..., 2:] * facing - normals.new_tensor([0.0, 0.0, 1.0])


def _exposure(heads: Wardrobe, views: ViewBatch, towards: Tensor) -> Tensor:
    """(B,) see `LitScene.exposure`."""
    weight = (0.5 + 0.5 * towards[:, 2]) ** 2
    radiance, _ = _radiance(views, towards.expand(len(views), -1, -1))
    level = (weight[:, None] * radiance).sum(1).mean(-1) / weight.sum()
    as_usual = SKIN_EXPOSED / (USUAL_SKIN * level)
    return views.effects["exposure"] * as_usual * (USUAL_SKIN / heads.metered) ** views.effects["skin_share"]
