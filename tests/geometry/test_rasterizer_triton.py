"""The rasterizer's Triton kernels against plain torch, to the bit: by Triton's interpreter, where there is no GPU."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facerecon_ray.geometry import rasterizer_torch
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer_torch import NOTHING

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs triton, which PyTorch's builds without CUDA leave out"
)
SCRIPT = Path(__file__).with_name("interpreted_kernels.py")
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


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tensor, ...]]:
    folder = tmp_path_factory.mktemp("scenes")
    torch.save(list(scenes().values()), folder / "scenes.pt")
    subprocess.run([sys.executable, SCRIPT, folder / "scenes.pt", folder / "drawn.pt"], check=True)
    return dict(zip(scenes(), torch.load(folder / "drawn.pt"), strict=True))


@pytest.mark.parametrize("name", scenes())
def test_the_kernels_see_what_plain_torch_sees_to_the_bit(name: str, drawn: dict[str, tuple[Tensor, ...]]) -> None:
    one = scenes()[name]
    nearest = torch.full((len(one["points"]), *one["size"]), NOTHING, dtype=torch.int64)
    rasterizer_torch.draw(nearest, one["points"], one["triangles"], one["cull_back"])
    expected = (nearest, *rasterizer_torch.resolve(nearest, one["points"], one["triangles"]))
    for found, values in zip(drawn[name], expected, strict=True):
        assert found.dtype == values.dtype and torch.equal(found, values)
    assert (nearest > NOTHING).any() == ("no " not in name)


def test_the_kernels_compile_for_gpus_and_round_after_each_operation() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "90"], check=True, capture_output=True, text=True)
    operations = run.stdout.split()
    # Triton 3.7, which PyTorch 2.13 brings along, fetches what was there before; 3.9 does not.
    assert any(operation.startswith(("red.", "atom.")) and operation.endswith("max.s64") for operation in operations)
    assert "div.rn.f32" in operations and "div.rn.f64" in operations
    inexact = ("fma.", "mad.rn", "div.full", "div.approx", "rcp.approx")
    assert [operation for operation in operations if operation.startswith(inexact)] == []
    # Rounding down or up may flush: half a pixel less than a coordinate is 0 or no denormal number.
    flushed = {operation for operation in operations if ".ftz" in operation}
    assert flushed <= {"cvt.rmi.ftz.f32.f32", "cvt.rpi.ftz.f32.f32"}
