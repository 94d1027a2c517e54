"""How alike two pictures are: structural similarity and peak signal-to-noise ratio, also over parts of them."""

import torch
from torch import Tensor
from torch.nn import functional

WINDOW, SIGMA = 11, 1.5
LUMINANCE_CONSTANT, CONTRAST_CONSTANT = 0.01**2, 0.03**2


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Map of the structural similarity (Wang et al., Image Quality Assessment, 2004, equation 13), channels averaged.

    Gaussian window of 11 pixels with standard deviation 1.5, and the constants of the paper for a range of 1.

    Parameters
    ----------
    first, second : (B, C, H, W) float in [0, 1]

    Returns
    -------
    (B, 1, H - 10, W - 10) -1 to 1, at the pixels around which the window lies within the pictures
    """
    with torch.autocast(first.device.type, enabled=False):
        a, b = first.float(), second.float()
        moments = _smoothed(torch.cat([a, b, a * a, b * b, a * b], 1))
        mean_a, mean_b, square_a, square_b, product = moments.chunk(5, 1)
        variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
        covariance = product - mean_a * mean_b
        luminance = (2 * mean_a * mean_b + LUMINANCE_CONSTANT) / (mean_a**2 + mean_b**2 + LUMINANCE_CONSTANT)
        structure = (2 * covariance + CONTRAST_CONSTANT) / (variance_a + variance_b + CONTRAST_CONSTANT)
        return (luminance * structure).mean(1, keepdim=True)


def masked_structural_similarity(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """(B,) mean of `structural_similarity` over weighted pixels; 0 where there are none.

    Parameters
    ----------
    first, second : (B, C, H, W) float in [0, 1]
    weight : (B, 1, H, W)
    """
    border = WINDOW // 2
    inner = weight[..., border:-border, border:-border]
    return (structural_similarity(first, second) * inner).sum((1, 2, 3)) / inner.sum((1, 2, 3)).clamp(min=1e-6)


def masked_signal_to_noise(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """(B,) peak signal-to-noise ratio over weighted pixels in decibels, 100 at most.

    Parameters
    ----------
    first, second : (B, C, H, W) float in [0, 1]
    weight : (B, 1, H, W)
    """
    squares = (first.float() - second.float()).square().mean(1, keepdim=True)
    error = (squares * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1e-6)
    return -10 * error.clamp(min=1e-10).log10()


def _smoothed(pictures: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=pictures.dtype, device=pictures.device) - WINDOW // 2
    window = (-(places**2) / (2 * SIGMA**2)).exp()
    window = window / window.sum()
    flat = pictures.flatten(0, 1)[:, None]
    smooth = functional.conv2d(functional.conv2d(flat, window[None, None, None]), window[None, None, :, None])
    return smooth[:, 0].unflatten(0, pictures.shape[:2])
