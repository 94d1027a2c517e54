"""Batched orthographic z-buffer rasterizer for CPU and CUDA.

It is written three times: in plain torch, which says what is right on every device, as loops that Numba compiles for
CPUs, and as Triton kernels for CUDA, which both give the same to the bit.

Image frame: pixels, x right, y down, z towards the camera; pixel centres at +0.5; the largest z is the nearest.
Front-facing triangles are counter-clockwise when seen from outside with y up, as in the model frame, so their signed
area (b - a) x (c - a) in pixels, where y is down, is negative.
"""

import logging
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from facerecon_ray.geometry import rasterizer_torch
from facerecon_ray.geometry.rasterizer_torch import NOTHING, TRIANGLE_BITS, Shown, corners_of

LOG = logging.getLogger(__name__)


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


@dataclass(frozen=True)
class Holes:
    """Triangles that are not drawn everywhere.

    pierced  (T,) or (B, T) bool, which ones
    shown    where they are drawn; is asked about them alone, where nothing else hides them
    """

    pierced: Tensor
    shown: Shown


@torch.no_grad()
def rasterize(
    points: Tensor,
    triangles: Tensor,
    height: int,
    width: int,
    cull_back: bool = False,
    holes: Holes | None = None,
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
    holes : of triangles that have some

    Returns
    -------
    Fragments on the device of points
    """
    points = points.float()
    nearest = _nearest(points, triangles, height, width, cull_back, holes)
    return Fragments(*_way(points.device).resolve(nearest, points, triangles))


@torch.no_grad()
def seen_triangles(points: Tensor, triangles: Tensor, height: int, width: int) -> Tensor:
    """(T,) bool, whether each triangle is the nearest at some pixel centre of some picture; as `rasterize` finds it.

    Parameters
    ----------
    points : (B, N, 3) image frame, pixels
    triangles : (T, 3) int64
    height, width : size of the pictures in pixels
    """
    keys = _nearest(points.float(), triangles, height, width, False, None)
    seen = torch.zeros(len(triangles), dtype=torch.bool, device=points.device)
    seen[keys[keys > NOTHING] & TRIANGLE_BITS] = True
    return seen


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
    learnt = torch.is_grad_enabled() and attributes.requires_grad
    if attributes.device.type == "cpu" and attributes.dtype == torch.float32 and not learnt:
        return _loops().interpolate(fragments.triangle, fragments.barycentric, triangles, attributes)
    _, height, width = fragments.triangle.shape
    seen = fragments.mask.flatten().nonzero()[:, 0]
    image = seen.div(height * width, rounding_mode="floor")
    vertices = corners_of(triangles, image, fragments.triangle.flatten()[seen])
    if attributes.ndim == 3:
        vertices = vertices + image[:, None] * attributes.shape[1]
    weights = fragments.barycentric.reshape(-1, 3)[seen].to(attributes.dtype)
    flat = attributes.reshape(-1, attributes.shape[-1])
    values = torch.nn.functional.embedding_bag(vertices, flat, per_sample_weights=weights, mode="sum")
    result = attributes.new_zeros(fragments.mask.numel(), attributes.shape[-1])
    return result.index_copy_(0, seen, values).view(*fragments.triangle.shape, attributes.shape[-1])


def _nearest(
    points: Tensor, triangles: Tensor, height: int, width: int, cull_back: bool, holes: Holes | None
) -> Tensor:
    """(B, H, W) int64 keys of the winners."""
    shape = (len(points), height, width)
    nearest = torch.full(shape, NOTHING, dtype=torch.int64, device=points.device)
    solid = triangles if holes is None else triangles * ~holes.pierced[..., None]
    _way(points.device).draw(nearest, points, solid, cull_back)
    if holes is not None:
        rasterizer_torch.draw(nearest, points, triangles * holes.pierced[..., None], cull_back, holes.shown)
    return nearest


def _way(device: torch.device) -> ModuleType:
    """The module whose `draw` and `resolve` are used on a device."""
    if device.type == "cpu":
        return _loops()
    return (kernels(device) if device.type == "cuda" else None) or rasterizer_torch


def _loops() -> ModuleType:
    # Not imported before something is drawn: many processes import this module and never do.
    from facerecon_ray.geometry import rasterizer_numba

    return rasterizer_numba


@cache
def kernels(device: torch.device) -> ModuleType | None:
    """The Triton kernels, if they work on a CUDA device.

    Triton comes with PyTorch's CUDA builds, compiles for most GPUs and wants a C compiler when it first does; where
    any of that is missing a warning says so, once, and plain torch does the work.
    """
    try:
        from facerecon_ray.geometry import rasterizer_triton

        points = torch.tensor([[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]], device=device)
        nearest = torch.full((1, 2, 2), NOTHING, dtype=torch.int64, device=device)
        triangle = torch.tensor([[0, 1, 2]], device=device)
        rasterizer_triton.draw(nearest, points, triangle, False)
        rasterizer_triton.resolve(nearest, points, triangle)
        torch.cuda.synchronize(device)
    except Exception as error:  # noqa: BLE001 - whatever Triton lacks on a machine, the pictures can be drawn
        LOG.warning("pictures are drawn by plain torch on %s: %s: %s", device, type(error).__name__, error)
        return None
    return rasterizer_triton
