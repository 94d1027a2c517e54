"""The two-view network: a face crop and its rotated view to a UV position map.

Encoder of MobileNetV2's inverted residual blocks (Sandler et al. 2018), decoder of 4x4 transposed convolutions as in
PRNet (Feng et al. 2018); 13.8 million parameters and 4.1 billion multiply-adds a face.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor, nn

from facerecon_ray.errors import AssetError

INPUT_CHANNELS = 6
EXPANSION = 6


class Layer(NamedTuple):
    """One row of the layer table; size is the side of the square output in pixels."""

    name: str
    kind: Literal["conv", "block", "deconv"]
    kernel: int
    stride: int
    channels: int
    size: int


LAYERS = (
    Layer("conv1", "conv", 3, 2, 32, 128),
    Layer("block1", "block", 3, 2, 96, 64),
    Layer("block2", "block", 3, 2, 144, 32),
    Layer("block3", "block", 3, 2, 192, 16),
    Layer("block4", "block", 3, 2, 576, 8),
    Layer("conv2", "conv", 3, 1, 512, 8),
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


class TwoViewNetwork(nn.Sequential):
    """The network of `LAYERS`; each layer is a child module of the layer's name.

    Input   (B, 6, 256, 256) float in [0, 1]: red, green, blue of the crop, then of the rotated view
    Output  (B, 3, 256, 256) float in (0, 1): UV position map, crop pixels / 256
    """

    def __init__(self) -> None:
        super().__init__()
        channels = INPUT_CHANNELS
        for layer in LAYERS[:-1]:
            self.add_module(layer.name, _hidden_layer(layer, channels))
            channels = layer.channels
        last = LAYERS[-1]
        self.add_module(
            last.name,
            nn.Sequential(
                SameTransposedConv(channels, last.channels, last.kernel, last.stride, bias=True), nn.Sigmoid()
            ),
        )


class SameTransposedConv(nn.ConvTranspose2d):
    """4x4 transposed convolution whose output side is the input's times the stride.

    With stride 1 the full output is three pixels larger: one is cut at the top and left, two at the bottom and right.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        y = super().forward(x, output_size)
        return y if self.stride[0] == 2 else y[..., :-1, :-1]


def load_weights(path: Path) -> TwoViewNetwork:
    """Read the network from a weight file.

    Parameters
    ----------
    path : .safetensors file with the state of a `TwoViewNetwork`

    Returns
    -------
    network on the CPU, in evaluation mode

    Raises
    ------
    AssetError
        when the file is missing, is no safetensors file, or holds another network
    """
    if not path.is_file():
        raise AssetError(f"two-view weights {path}: no such file; set reconstruct.weights to a .safetensors file")
    try:
        state = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise AssetError(f"two-view weights {path}: not a readable .safetensors file ({error})") from None
    network = TwoViewNetwork()
    problem = _first_difference(network.state_dict(), state)
    if problem:
        raise AssetError(f"two-view weights {path}: the file is of another network: {problem}")
    network.load_state_dict(state)
    return network.eval()


def _first_difference(expected: dict[str, Tensor], state: dict[str, Tensor]) -> str | None:
    for name, tensor in expected.items():
        if name not in state:
            return f"{name} is missing"
        if state[name].shape != tensor.shape:
            return f"{name} has shape {tuple(state[name].shape)} in place of {tuple(tensor.shape)}"
    unknown = next(iter(state.keys() - expected.keys()), None)
    return f"{unknown} is unknown" if unknown else None


def _hidden_layer(layer: Layer, inputs: int) -> nn.Sequential:
    if layer.kind == "conv":
        return _conv(inputs, layer.channels, layer.kernel, layer.stride)
    if layer.kind == "block":
        return _inverted_residual(inputs, layer)
    return nn.Sequential(
        SameTransposedConv(inputs, layer.channels, layer.kernel, layer.stride),
        nn.BatchNorm2d(layer.channels),
        nn.ReLU(inplace=True),
    )


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
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )
