"""The rasterizer's compiled loops against plain torch."""

import errno

import numba
import pytest
import torch
from torch import Tensor

from facerecon_ray.geometry import rasterizer_numba
from facerecon_ray.geometry.rasterizer import Fragments, interpolate
from facerecon_ray.geometry.rasterizer_torch import NOTHING
from tests.geometry.rasterizer_scenes import plainly_drawn, scenes


def drawn(one: dict) -> tuple[Tensor, ...]:
    nearest = torch.full((len(one["points"]), *one["size"]), NOTHING, dtype=torch.int64)
    rasterizer_numba.draw(nearest, one["points"], one["triangles"], one["cull_back"])
    return nearest, *rasterizer_numba.resolve(nearest, one["points"], one["triangles"])


@pytest.mark.parametrize("name", scenes())
def test_the_loops_see_what_plain_torch_sees_to_the_bit(name: str) -> None:
    one = scenes()[name]
    expected = plainly_drawn(one)
    for found, values in zip(drawn(one), expected, strict=True):
        assert found.dtype == values.dtype and torch.equal(found, values)
    assert (expected[0] > NOTHING).any() == ("no " not in name)


@pytest.mark.parametrize("name", ("heads", "a mesh for each picture"))
def test_values_are_interpolated_as_with_gradients(name: str) -> None:
    one = scenes()[name]
    fragments = Fragments(*plainly_drawn(one)[1:])
    values = one["points"] * torch.tensor([1.0, -2.0, 0.5])
    plain = interpolate(fragments, one["triangles"], values.clone().requires_grad_()).detach()
    torch.testing.assert_close(interpolate(fragments, one["triangles"], values), plain)
    assert torch.equal(interpolate(fragments, one["triangles"], values)[~fragments.mask], plain[~fragments.mask])


def test_once_all_is_compiled_nothing_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rasterizer_numba.compile_all()
    monkeypatch.setattr(numba.core.compiler, "compile_extra", None)
    for name in ("heads without their backs", "a mesh for each picture"):
        one = scenes()[name]
        _, triangle, barycentric, _ = drawn(one)
        assert rasterizer_numba.interpolate(triangle, barycentric, one["triangles"], one["points"]).any()


def doubled(numbers: Tensor) -> None:
    for index in range(len(numbers)):
        numbers[index] *= 2


def test_where_nothing_can_be_kept_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_loop = numba.njit

    def without_a_folder(cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_loop(**options)

    monkeypatch.setattr(numba, "njit", without_a_folder)
    numbers = torch.ones(3).numpy()
    rasterizer_numba._compiled(doubled)(numbers)
    assert numbers.tolist() == [2.0] * 3


def test_a_full_disk_does_not_end_what_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "save_overload", full)
    numbers = torch.ones(3).numpy()
    call = rasterizer_numba._compiled(doubled)
    call(numbers)
    call(numbers)
    assert numbers.tolist() == [4.0] * 3
