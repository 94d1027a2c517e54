import pytest
import skimage.metrics
import torch
from torch import Tensor

from facerecon_ray.geometry.picture_similarity import (
    masked_signal_to_noise,
    masked_structural_similarity,
    structural_similarity,
)

SIZE = 64


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 8, 8, generator=generator)
    first = torch.nn.functional.interpolate(coarse, size=SIZE, mode="bilinear")
    return first, (first + 0.1 * torch.randn(first.shape, generator=generator)).clamp(0, 1)


def test_structural_similarity_is_that_of_skimage(pictures: tuple[Tensor, Tensor]) -> None:
    first, second = pictures
    ours = structural_similarity(first, second).mean((1, 2, 3))
    for row in range(2):
        theirs = skimage.metrics.structural_similarity(
            first[row].numpy(),
            second[row].numpy(),
            data_range=1.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert 0.1 < theirs < 0.9
        assert ours[row].item() == pytest.approx(theirs, abs=1e-4)


def test_signal_to_noise_is_that_of_skimage(pictures: tuple[Tensor, Tensor]) -> None:
    first, second = pictures
    ours = masked_signal_to_noise(first, second, torch.ones(2, 1, SIZE, SIZE))
    for row in range(2):
        theirs = skimage.metrics.peak_signal_noise_ratio(first[row].numpy(), second[row].numpy(), data_range=1.0)
        assert ours[row].item() == pytest.approx(theirs, abs=1e-3)


def test_only_weighted_pixels_count(pictures: tuple[Tensor, Tensor]) -> None:
    first, second = pictures
    weight = torch.zeros(2, 1, SIZE, SIZE)
    weight[..., 10:30, 10:30] = 1
    disturbed = second.clone()
    disturbed[..., 40:, :] = 0
    for figure in (masked_signal_to_noise, masked_structural_similarity):
        assert torch.allclose(figure(first, disturbed, weight), figure(first, second, weight), atol=1e-5)
        everywhere = torch.ones_like(weight)
        assert (figure(first, disturbed, everywhere) < figure(first, second, everywhere) - 0.05).all()


def test_equal_pictures_are_as_alike_as_can_be(pictures: tuple[Tensor, Tensor]) -> None:
    first, _ = pictures
    everywhere = torch.ones(2, 1, SIZE, SIZE)
    assert torch.allclose(masked_structural_similarity(first, first, everywhere), torch.ones(2))
    assert masked_signal_to_noise(first, first, everywhere).tolist() == pytest.approx([100.0, 100.0])
