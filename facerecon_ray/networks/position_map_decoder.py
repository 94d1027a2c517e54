"""The decoder of PRNet (Feng et al. 2018): 4x4 transposed convolutions from 8x8x512 to a UV position map."""

from typing import Literal, NamedTuple

from torch import Tensor, nn


class Layer(NamedTuple):
    """One row of the layer table; size is the side of the square output in pixels."""

    name: str
    kind: Literal["conv", "block", "deconv"]
    kernel: int
    stride: int
    channels: int
    size: int


DECODER = (
    Layer("deconv1", "deconv", 4, 1, 512, 8),
    Layer("deconv2", "deconv", 4, 2, 256, 16),
    Layer("deconv3", "deconv", 4, 1, 256, 16),
    Layer("deconv4", "deconv", 4, 1, 256, 16),
    Layer("deconv5", "deconv", 4, 2, 128, 32),
    Layer("deconv6", "deconv", 4, 1, 128, 32),
    Layer("deconv7", "deconv", 4, 1, 128, 32),
    Layer("deconv8", "deconv", 4, 2, 64, 64),
    Layer("deconv9", "deconv", 4, 1, 64, 64),
    Layer("deconv10", "deconv", 4, 1, 64, 64),
    Layer("deconv11", "deconv", 4, 2, 32, 128),
    Layer("deconv12", "deconv", 4, 1, 32, 128),
    Layer("deconv13", "deconv", 4, 2, 16, 256),
    Layer("deconv14", "deconv", 4, 1, 16, 256),
    Layer("deconv15", "deconv", 4, 1, 3, 256),
    Layer("deconv16", "deconv", 4, 1, 3, 256),
    Layer("deconv17", "deconv", 4, 1, 3, 256),
)


def add_decoder(network: nn.Sequential, channels: int) -> None:
    """Append the layers of `DECODER`, each under its own name, to a network whose output is (B, channels, 8, 8)."""
    for layer in DECODER[:-1]:
        convolution = SameTransposedConv(channels, layer.channels, layer.kernel, layer.stride)
        network.add_module(
            layer.name, nn.Sequential(convolution, nn.BatchNorm2d(layer.channels), nn.ReLU(inplace=True))
        )
        channels = layer.channels
    last = DECODER[-1]
    convolution = SameTransposedConv(channels, last.channels, last.kernel, last.stride, bias=True)
    network.add_module(last.name, nn.Sequential(convolution, nn.Sigmoid()))


class SameTransposedConv(nn.ConvTranspose2d):
    """4x4 transposed convolution whose output side is the input's times the stride.

    With stride 1 the full output is three pixels larger: one is cut at the top and left, two at the bottom and right.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        y = super().forward(x, output_size)
        return y if self.stride[0] == 2 else y[..., :-1, :-1]
