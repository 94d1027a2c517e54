"""The proposer: where in a photo faces may be, of any size and roll. dlib's detector decides on each of its proposals.

A small fully convolutional network that sees faces of 11 to 52 pixels; smaller copies of the photo show it the larger
ones. It marks the middles of faces in a map (Zhou et al., Objects as Points, 2019) and says at each middle how large
the face is and which way is up. Recall is what counts: a false proposal costs a window of dlib's detector, a missed
face is lost.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.networks.packed_convolutions import added
from facerecon_ray.networks.weight_file import load_network

STRIDE = 4
"""Pixels of the picture to a cell of the maps, along each side."""

SMALLEST, LARGEST = 11.0, 52.0
"""Sides of the faces that the network learns to see, pixels; a face is as large as dlib's window around it."""

USUAL_SIZE = 24.0
"""Side that the network says with a 0; it regresses the logarithm of the side over this."""

OUTPUTS = 6
"""Maps: the logit that a face's middle is there, its place from the cell's middle in cells, the logarithm of its size,
and cosine and sine of its roll."""

RARE = -4.6
"""The first logits: one cell of a hundred is a middle."""

SIDE_MULTIPLE = 16
"""Pictures whose sides are no multiple of this are padded."""

STEM, FINE, MIDDLE, COARSE = 16, 32, 64, 96
"""Channels at strides 2, 4, 8 and 16."""


@dataclass(frozen=True)
class Proposals:
    """Places of a photo where faces may be, the likeliest first.

    centres  (K, 2) float32 x and y, pixels
    sizes    (K,) float32 sides of dlib's window around them, pixels
    rolls    (K,) float32 degrees, clockwise in the image, -180 to 180
    scores   (K,) float32 0 to 1
    """

    centres: Tensor
    sizes: Tensor
    rolls: Tensor
    scores: Tensor


class FaceProposer(nn.Module):
    """The network.

    Input   (B, 3, H, W) float in [0, 1], RGB, sides multiples of 16
    Output  (B, 6, H / 4, W / 4) float, see `OUTPUTS`
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, STEM, 2), _convolution(STEM, FINE, 2))
        self.fine = _Residual(FINE)
        self.middle = nn.Sequential(_convolution(FINE, MIDDLE, 2), _Residual(MIDDLE), _Residual(MIDDLE))
        self.coarse = nn.Sequential(_convolution(MIDDLE, COARSE, 2), _Residual(COARSE), _Residual(COARSE))
        self.from_coarse = nn.Conv2d(COARSE, MIDDLE, 1)
        self.merge_middle = _convolution(MIDDLE, MIDDLE, 1)
        self.from_middle = nn.Conv2d(MIDDLE, FINE, 1)
        self.merge_fine = _convolution(FINE, FINE, 1)
        self.answer = nn.Conv2d(FINE, OUTPUTS, 1)
        nn.init.constant_(self.answer.bias[:1], RARE)  # type: ignore[index]

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 6, H / 4, W / 4)."""
        fine = self.fine(self.stem(pictures - 0.5))
        middle = self.middle(fine)
        coarse = self.from_coarse(self.coarse(middle))
        middle = self.merge_middle(middle + functional.interpolate(coarse, scale_factor=2.0))
        fine = self.merge_fine(fine + functional.interpolate(self.from_middle(middle), scale_factor=2.0))
        answer: Tensor = self.answer(fine)
        return answer


def read_proposals(maps: Tensor, least_score: float) -> Proposals:
    """What the maps of one picture say: their local maxima, the likeliest first.

    Parameters
    ----------
    maps : (6, h, w) of the network
    least_score : lower scores are left out

    Returns
    -------
    Proposals in pixels of the picture
    """
    maps = maps.float()
    logits = maps[:1]
    highest = functional.max_pool2d(logits, 3, 1, 1)
    peaks = (logits == highest) & (logits > torch.logit(torch.tensor(least_score)).item())
    rows, columns = peaks[0].nonzero(as_tuple=True)
    found = maps[:, rows, columns]
    order = found[0].argsort(descending=True, stable=True)
    rows, columns, found = rows[order], columns[order], found[:, order]
    cells = torch.stack([columns, rows], -1) + 0.5 + found[1:3].T
    sizes = USUAL_SIZE * found[3].clamp(-2.0, 2.0).exp()
    rolls = torch.rad2deg(torch.atan2(found[5], found[4]))
    return Proposals(cells * STRIDE, sizes, rolls, found[0].sigmoid())


def load_weights(path: Path) -> FaceProposer:
    """Read the network from a weight file; raises AssetError as `load_network` does."""
    return load_network(FaceProposer(), path, "detector")


class _Residual(nn.Module):
    """Two 3 x 3 convolutions, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 1)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        return added(self.second, self.first(x), x)


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
