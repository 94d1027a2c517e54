"""Discriminators that tell repaired views from real pictures, at two scales.

As in pix2pixHD (Wang et al., High-Resolution Image Synthesis with Conditional GANs, 2018, section 3.2): equal networks
judge overlapping patches of the picture and of smaller versions of it, and their inner features serve feature
matching; with spectral normalization (Miyato et al. 2018). They see the picture alone: the true view does not lie
exactly on the rendered one, and a network that saw both would tell real from repaired by that.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

SCALES = 2
WIDTHS = (32, 64, 128, 192)
"""Channels of a scale's layers, each of which halves the resolution."""

SLOPE = 0.2


class ViewDiscriminator(nn.Module):
    """The networks of all scales.

    Input   (B, 3, H, W) float in [0, 1], RGB
    Output  for each scale, the finest first, the features of every layer; the last one is (B, 1, h, w), the larger the
            more real the patch looks
    """

    def __init__(self) -> None:
        super().__init__()
        self.scales = nn.ModuleList(_PatchNetwork() for _ in range(SCALES))

    def forward(self, pictures: Tensor) -> list[list[Tensor]]:
        """(B, 3, H, W) to features by scale and layer."""
        results = []
        for number, network in enumerate(self.scales):
            small = functional.avg_pool2d(pictures, 2**number) if number else pictures
            results.append(network(small))
        return results


class _PatchNetwork(nn.Module):
    """4 x 4 convolutions with stride 2, then one that judges; a judgement's patch is 94 pixels wide."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        layers: list[nn.Module] = []
        for width in WIDTHS:
            layers.append(nn.Sequential(spectral_norm(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(SLOPE)))
            channels = width
        layers.append(spectral_norm(nn.Conv2d(channels, 1, 4, 1, 1)))
        self.layers = nn.ModuleList(layers)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to the features of every layer."""
        features = []
        x = 2 * pictures - 1
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


def select(features: list[list[Tensor]], rows: slice) -> list[list[Tensor]]:
    """Some rows of what a discriminator says."""
    return [[layer[rows] for layer in scale] for scale in features]


def row_means(values: Tensor) -> Tensor:
    """(B,) mean of each row, float32."""
    return values.float().flatten(1).mean(1)


def hinge_of_generator(fake: list[list[Tensor]]) -> Tensor:
    """(B,) what a generator minimises (Lim and Ye, Geometric GAN, 2017)."""
    return torch.stack([-row_means(scale[-1]) for scale in fake]).mean(0)


def hinge_of_discriminator(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """(B,) what a discriminator minimises (ibid.)."""
    parts = [
        row_means(functional.relu(1 - true[-1])) + row_means(functional.relu(1 + false[-1]))
        for true, false in zip(real, fake, strict=True)
    ]
    return torch.stack(parts).mean(0)


def feature_distance(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """(B,) mean absolute difference of the features of all layers but the judgements (pix2pixHD, equation 4)."""
    parts = [
        row_means((true.float() - false.float()).abs())
        for of_real, of_fake in zip(real, fake, strict=True)
        for true, false in zip(of_real[:-1], of_fake[:-1], strict=True)
    ]
    return torch.stack(parts).mean(0)
