"""Convolutions whose weights lie in memory as oneDNN wants them, each with what follows it in one pass.

PyTorch lays a convolution's weights out anew at every call on a CPU, which for one face takes as long as many of the
convolutions themselves. The operators are those that `torch.compile` puts in their place when it freezes a network
(torch 2.13, torch/_inductor/fx_passes/mkldnn_fusion.py); they are not public, and where they are missing convolutions
stay as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

_OPERATORS = torch.ops.mkldnn


class PackedConvolution(nn.Module):
    """A convolution that only infers.

    Parameters
    ----------
    convolution : whose weights are copied
    shape : of an input, by which oneDNN chooses the layout; inputs of other shapes give the same
    relu : whether it ends in one
    """

    def __init__(self, convolution: nn.Conv2d, shape: list[int], relu: bool) -> None:
        super().__init__()
        self._how = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        weight = convolution.weight.detach().contiguous(memory_format=torch.channels_last)
        self._dtype = weight.dtype
        self._weight = _OPERATORS._reorder_convolution_weight(weight, *self._how, shape)
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._after = "relu" if relu else "none"

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, h, w)."""
        x = x.to(self._dtype)
        y: Tensor = _OPERATORS._convolution_pointwise(x, self._weight, self._bias, *self._how, self._after, [], "")
        return y

    def added(self, x: Tensor, other: Tensor) -> Tensor:
        """What `added` asks for."""
        x, other = x.to(self._dtype), other.to(self._dtype)
        pointwise = _OPERATORS._convolution_pointwise.binary
        y: Tensor = pointwise(x, other, self._weight, self._bias, *self._how, "add", 1.0, "relu", [], "")
        return y


def added(convolution: nn.Module, x: Tensor, other: Tensor) -> Tensor:
    """A convolution of x plus another tensor of the result's shape, without what is below 0; in one pass if packed."""
    last = convolution[-1] if isinstance(convolution, nn.Sequential) and len(convolution) == 1 else convolution
    if isinstance(last, PackedConvolution):
        return last.added(x, other)
    return functional.relu(other + convolution(x))


def packed(network: nn.Module, example: Tensor) -> nn.Module:
    """Pack a network's convolutions on a CPU, in place; those in front of a ReLU in a sequence take it in.

    Parameters
    ----------
    network : in evaluation mode, its normalisations folded
    example : an input

    Returns
    -------
    the same network
    """
    if example.device.type != "cpu" or not hasattr(_OPERATORS, "_convolution_pointwise"):
        return network
    shapes: dict[nn.Module, list[int]] = {}
    hooks = [
        part.register_forward_pre_hook(lambda part, inputs: shapes.__setitem__(part, list(inputs[0].shape)))
        for part in network.modules()
        if isinstance(part, nn.Conv2d)
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    _pack(network, shapes)
    return network


def _pack(network: nn.Module, shapes: dict[nn.Module, list[int]]) -> None:
    children = list(network.named_children())
    for (name, child), (following, after) in zip(children, [*children[1:], ("", None)], strict=False):
        if child in shapes:
            assert isinstance(child, nn.Conv2d)
            relu = isinstance(network, nn.Sequential) and isinstance(after, nn.ReLU)
            setattr(network, name, PackedConvolution(child, shapes[child], relu))
            if relu:
                setattr(network, following, nn.Identity())
        else:
            _pack(child, shapes)
