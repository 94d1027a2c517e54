"""Scenes on which the rasterizer's ways must agree to the bit: heads, and triangles as odd as they can be."""

import torch
from torch import Tensor

from facerecon_ray.geometry import rasterizer_torch
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer_torch import NOTHING

ANGLES = torch.tensor([[0.0, 0.0, 0.0], [40.0, -20.0, 10.0], [-90.0, 10.0, -60.0], [170.0, 60.0, 120.0]])


def scene(
    points: Tensor, triangles: Tensor, height: int, width: int, cull_back: bool = False, tile: tuple | None = None
) -> dict:
    return {
        "points": points,
        "triangles": triangles,
        "size": (height, width),
        "cull_back": cull_back,
        "tile": tile,
    }


def heads(scale: float, middle: tuple[float, float], angles: Tensor = ANGLES) -> tuple[Tensor, Tensor]:
    """Points of different people and expressions, and the model's triangles."""
    model, random, count = FaceModel.default(), torch.Generator().manual_seed(3), len(angles)
    shape = torch.randn(count, model.shape_size, generator=random)
    expression = 0.3 * torch.randn(count, model.expression_size, generator=random)
    camera = Camera(angles, torch.full((count,), scale), torch.tensor([middle]).expand(count, 2))
    return camera.project(model.vertices(shape, expression)), model.triangles


def odd_triangles() -> Tensor:
    """Slivers and specks, those whose corners lie on pixel centres, huge ones, flat ones and such without numbers."""
    random = torch.Generator().manual_seed(4)
    ends = (torch.rand(300, 2, 3, generator=random) * 64 * 2).round() / 2
    slivers = torch.cat([ends, ends.mean(1, keepdim=True) + 1e-5 * torch.rand(300, 1, 3, generator=random)], 1)
    specks = torch.rand(300, 1, 3, generator=random) * 64 + 0.7 * torch.rand(300, 3, 3, generator=random)
    corners = torch.randint(-8, 72, (100, 3, 3), generator=random) + 0.5
    huge = (torch.rand(20, 3, 3, generator=random) - 0.5) * torch.tensor([1e6, 1e6, 50.0])
    flat = torch.rand(50, 3, 3, generator=random) * 64
    flat[:, :, 1] = flat[:, :1, 1].floor() + 0.5
    broken = torch.rand(9, 3, 3, generator=random) * 64
    for row, value in enumerate((torch.nan, torch.inf, -torch.inf) * 3):
        broken[row, row % 3, row // 3] = value
    return torch.cat([slivers, specks, corners, huge, flat, broken])


def scenes() -> dict[str, dict]:
    points, triangles = heads(420.0, (48.0, 40.0))
    odd = odd_triangles()
    odd = odd[torch.randperm(len(odd), generator=torch.Generator().manual_seed(5))]
    one_by_one = torch.arange(3 * len(odd)).view(-1, 3)
    few = triangles[:: len(triangles) // 60]
    fewer = torch.nn.functional.pad(triangles[: len(triangles) // 2], (0, 0, 0, len(triangles) - len(triangles) // 2))
    shipped_tile = (16, 4, 4, 256)
    close = heads(1500.0, (10.0, 70.0), ANGLES[:2])
    return {
        "heads": scene(points, triangles, 96, 90),
        "heads without their backs": scene(points, triangles, 96, 90, cull_back=True),
        "one head": scene(points[2:3], triangles, 96, 90, cull_back=True),
        "a mesh for each picture": scene(points[:2], torch.stack([triangles, fewer]), 96, 90),
        "heads beyond the border": scene(*close, 40, 50, cull_back=True),
        "odd triangles": scene(odd.view(1, -1, 3), one_by_one, 64, 64, tile=(1024, 8, 8, 4096)),
        "odd triangles in tiles as shipped": scene(odd.view(1, -1, 3), one_by_one[:200], 20, 20, tile=shipped_tile),
        "heads in tiles as shipped": scene(points, few, 96, 90, tile=shipped_tile),
        "one pixel": scene(odd.view(1, -1, 3), one_by_one, 1, 1, tile=(1024, 4, 4, 256)),
        "no triangles": scene(points, triangles[:0], 8, 6),
        "no pictures": scene(points[:0], triangles, 8, 6),
    }


def plainly_drawn(one: dict) -> tuple[Tensor, ...]:
    """Keys, triangles, barycentric coordinates and depths of a scene by plain torch."""
    nearest = torch.full((len(one["points"]), *one["size"]), NOTHING, dtype=torch.int64)
    rasterizer_torch.draw(nearest, one["points"], one["triangles"], one["cull_back"])
    return nearest, *rasterizer_torch.resolve(nearest, one["points"], one["triangles"])
