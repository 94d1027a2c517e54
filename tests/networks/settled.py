"""Networks that let signals through although their weights are random."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def settle(network: nn.Module, pictures: Tensor) -> None:
    """Give norms the pictures' own statistics, so that signals reach the output."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    network(pictures)
