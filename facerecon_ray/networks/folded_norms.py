"""Batch normalisations folded into the convolutions before them: the same network with fewer passes over its maps."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(network: nn.Module) -> nn.Module:
    """Fold every sequence that begins with a convolution and a batch normalisation, in place.

    Parameters
    ----------
    network : in evaluation mode

    Returns
    -------
    the same network
    """
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential) and len(child) > 1 and isinstance(child[1], nn.BatchNorm2d):
            convolution = child[0]
            assert isinstance(convolution, nn.Conv2d)
            setattr(network, name, nn.Sequential(fuse_conv_bn_eval(convolution, child[1]), *list(child)[2:]))
        else:
            folded(child)
    return network
