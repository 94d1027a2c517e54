"""The rasterizer's Triton kernels against plain torch, to the bit: by Triton's interpreter, where there is no GPU."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from facerecon_ray.geometry.rasterizer_torch import NOTHING
from tests.geometry.rasterizer_scenes import plainly_drawn, scenes

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs triton, which PyTorch's builds without CUDA leave out"
)
SCRIPT = Path(__file__).with_name("interpreted_kernels.py")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tensor, ...]]:
    folder = tmp_path_factory.mktemp("scenes")
    torch.save(list(scenes().values()), folder / "scenes.pt")
    subprocess.run([sys.executable, SCRIPT, folder / "scenes.pt", folder / "drawn.pt"], check=True)
    return dict(zip(scenes(), torch.load(folder / "drawn.pt"), strict=True))


@pytest.mark.parametrize("name", scenes())
def test_the_kernels_see_what_plain_torch_sees_to_the_bit(name: str, drawn: dict[str, tuple[Tensor, ...]]) -> None:
    expected = plainly_drawn(scenes()[name])
    for found, values in zip(drawn[name], expected, strict=True):
        assert found.dtype == values.dtype and torch.equal(found, values)
    assert (expected[0] > NOTHING).any() == ("no " not in name)


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
