import pytest
import torch
from torch.nn import functional

from facerecon_ray.geometry.box_means import mean_around


@pytest.mark.parametrize("radius", (1, 4))
@pytest.mark.parametrize("shape", ((2, 3, 64, 48), (1, 2, 5, 7), (1, 4, 1, 1), (0, 3, 8, 8)))
def test_means_are_those_of_what_lies_in_the_picture(shape: tuple[int, ...], radius: int) -> None:
    pictures = 255 * torch.rand(shape, generator=torch.Generator().manual_seed(1))
    wanted = functional.avg_pool2d(pictures, 2 * radius + 1, 1, radius, count_include_pad=False)
    torch.testing.assert_close(mean_around(pictures, radius), wanted)


def test_what_is_not_contiguous_is_read_in_its_own_order() -> None:
    pictures = torch.rand(2, 16, 12, 3, generator=torch.Generator().manual_seed(2)).permute(0, 3, 1, 2)
    assert torch.equal(mean_around(pictures, 1), mean_around(pictures.contiguous(), 1))
