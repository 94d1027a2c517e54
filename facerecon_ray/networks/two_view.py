"""The two-view network: a face crop and its rotated view to a UV position map.

With a fit, it sees both pictures laid out in the UV square by the fitted face, and corrects that face's position map;
without one it regresses the map from the two pictures alone, as published.

Encoder of MobileNetV2's inverted residual blocks (Sandler et al. 2018), decoder of 4x4 transposed convolutions as in
PRNet (Feng et al. 2018); 13.8 million parameters and 4.1 billion multiply-adds a face.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from facerecon_ray.networks.position_map_decoder import DECODER, Layer, add_decoder
from facerecon_ray.networks.weight_file import load_network, read_metadata

INPUT_CHANNELS, FIT_CHANNELS = 6, 3
EXPANSION = 6

CORRECTION = 0.25
"""Largest correction of a fitted map to both sides is half of this share of the crop."""

FIT = "fit"
"""What the metadata of a weight file call whether the network corrects a fit."""


LAYERS = (
    Layer("conv1", "conv", 3, 2, 32, 128),
    Layer("block1", "block", 3, 2, 96, 64),
    Layer("block2", "block", 3, 2, 144, 32),
    Layer("block3", "block", 3, 2, 192, 16),
    Layer("block4", "block", 3, 2, 576, 8),
    Layer("conv2", "conv", 3, 1, 512, 8),
    *DECODER,
)


class TwoViewNetwork(nn.Sequential):
    """The network of `LAYERS`; each layer is a child module of the layer's name.

    Input   (B, 6, 256, 256) float in [0, 1]: red, green, blue of the crop, then of the rotated view; with a fit the
            nine channels of `FittedViews`
    Output  (B, 3, 256, 256) float in (0, 1): UV position map, crop pixels / 256; with a fit see `corrected`

    Parameters
    ----------
    fit : whether it corrects a fit
    """

    def __init__(self, fit: bool = False) -> None:
        super().__init__()
        channels = INPUT_CHANNELS + (FIT_CHANNELS if fit else 0)
        for layer in LAYERS[: -len(DECODER)]:
            build = _inverted_residual if layer.kind == "block" else _plain
            self.add_module(layer.name, build(channels, layer))
            channels = layer.channels
        add_decoder(self, channels)


def corrected(fitted: Tensor, output: Tensor) -> Tensor:
    """The fitted position maps (B, 3, 256, 256) with the corrections of a network with a fit."""
    return fitted + (output - 0.5) * CORRECTION


def corrects_fit(path: Path) -> bool:
    """Whether the weights in a file are of a network that corrects a fit; errors as `load_network`."""
    return read_metadata(path, "two-view").get(FIT) == "true"


def load_weights(path: Path) -> TwoViewNetwork:
    """Read the network from a weight file; see `load_network`."""
    return load_network(TwoViewNetwork(corrects_fit(path)), path, "two-view")


def _plain(inputs: int, layer: Layer) -> nn.Sequential:
    return _conv(inputs, layer.channels, layer.kernel, layer.stride)


def _inverted_residual(inputs: int, layer: Layer) -> nn.Sequential:
    """Expand, filter each channel, project; all blocks here have stride 2 and so none has a shortcut."""
    hidden = inputs * EXPANSION
    return nn.Sequential(
        _conv(inputs, hidden, 1, 1),
        _conv(hidden, hidden, layer.kernel, layer.stride, groups=hidden),
        nn.Conv2d(hidden, layer.channels, 1, bias=False),
        nn.BatchNorm2d(layer.channels),
    )


def _conv(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    build = nn.Conv2d if groups == 1 else _ChannelFilter
    return nn.Sequential(
        build(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class _ChannelFilter(nn.Conv2d):
    """Filters each channel; when it learns on a CPU in float32, for there the gradient of a filter with a stride takes
    4 to 28 times as long in bfloat16 (measured on a Xeon with AMX)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())
