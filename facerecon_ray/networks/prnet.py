"""PRNet, the single-image baseline: a face crop to a UV position map.

Source: Feng, Wu, Shao, Wang and Zhou, "Joint 3D face reconstruction and dense alignment with position map regression
network", ECCV 2018: ten residual blocks, then the decoder that the two-view network shares.
"""

from pathlib import Path

from torch import Tensor, nn

from facerecon_ray.networks.position_map_decoder import add_decoder
from facerecon_ray.networks.weight_file import load_network

KERNEL = 4
FIRST_CHANNELS = 16
BLOCKS = ((32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
"""Channels and stride of each residual block."""


class PRNet(nn.Sequential):
    """The network; its children are conv1, block1 to block10, and the decoder's layers.

    Input   (B, 3, 256, 256) float in [0, 1]: red, green, blue of the crop
    Output  (B, 3, 256, 256) float in (0, 1): UV position map, crop pixels / 256
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_module("conv1", _convolution(3, FIRST_CHANNELS, KERNEL, 1))
        channels = FIRST_CHANNELS
        for number, (outputs, stride) in enumerate(BLOCKS, 1):
            self.add_module(f"block{number}", ResidualBlock(channels, outputs, stride))
            channels = outputs
        add_decoder(self, channels)


class ResidualBlock(nn.Module):
    """Squeeze to half the channels, filter, expand; added to the input, which is projected where its shape differs."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        hidden = outputs // 2
        self.body = nn.Sequential(
            _convolution(inputs, hidden, 1, 1),
            _convolution(hidden, hidden, KERNEL, stride),
            nn.Conv2d(hidden, outputs, 1, bias=False),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.end = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        result: Tensor = self.end(self.shortcut(x) + self.body(x))
        return result


def load_weights(path: Path) -> PRNet:
    """Read the network from a weight file; see `load_network`."""
    return load_network(PRNet(), path, "prnet")


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution whose output side is the input's over the stride; an even kernel needs the odd pixel below right."""
    before, after = (kernel - 1) // 2, kernel - stride - (kernel - 1) // 2
    padding = [] if kernel == 1 else [nn.ZeroPad2d((before, after, before, after))]
    return nn.Sequential(
        *padding,
        nn.Conv2d(inputs, outputs, kernel, stride, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
