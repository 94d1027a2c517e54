"""Who is in a picture: dlib's face recognition network (dlib_face_recognition_resnet_model_v1.dat) as a torch module.

A residual network of 29 convolutions makes 128 numbers of a picture of 150 x 150 pixels in which the face lies at a
fixed place. Pictures of one person are less than 0.6 apart, of different people mostly more (dlib's
dnn_face_recognition_ex). The weights are in the public domain (CC0). In torch pictures go through in batches, and
gradients to them.
"""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.networks.dlib_models import DlibReader, installed_model, on_raw_pixels, set_convolution
from facerecon_ray.networks.packed_convolutions import packed

MODEL = "dlib_face_recognition_resnet_model_v1.dat"
SAME_PERSON = 0.6

OTHER_PERSON, OTHER_PERSON_IN_PROFILE, PROFILE_YAW = 0.7, 0.8, 45.0
"""Distances beyond which pictures are certainly of two persons, where both faces are turned by less than so many
degrees, and elsewhere. Of 141 pairs of near-frontal photos of one person the largest is 0.54, of 109 pairs of a front
and a side of up to 90 degrees of synthetic people 0.70; 96 % of pairs of near-frontal photos of two people are further
apart than 0.7. Below nothing is certain, least of all in profile, where people are hardly told apart."""

CHIP_SIZE = 150
CHIP_SCALE, CHIP_ORIGIN = 834.0, (74.8, 77.9)
"""How the mean head is seen from the front in the network's input: pixels a metre, and where the origin of its frame
lies. Measured over 25 photos in which dlib cut the input itself; descriptors are then about 0.09 from dlib's own
(benchmarks/face_descriptor.py)."""

STEADY = [*range(27, 55), *range(60, 68)]
"""Landmarks by which faces are laid over each other: without jaw, brows and lower lip, which move."""

BLOCKS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Channels, residual blocks, and whether the first of them halves the resolution."""


class DescriptorNetwork(nn.Module):
    """The network.

    Input   (B, 3, 150, 150) float32 RGB, 0 to 255
    Output  (B, 128) float32
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, BLOCKS[0][0], 7, 2)
        blocks: list[nn.Module] = []
        width = BLOCKS[0][0]
        for channels, count, halved in BLOCKS:
            blocks += [_Block(width, channels, halved), *(_Block(channels, channels, False) for _ in range(count - 1))]
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(width, 128, bias=False)

    @classmethod
    def from_dlib(cls, path: Path) -> "DescriptorNetwork":
        """Read the weights from dlib's own file; its scalings of layers and input are folded into them.

        Raises
        ------
        AssetError
            when the file is missing or is not this network
        """
        network = cls()
        convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        try:
            reader = DlibReader(path.read_bytes())
            for layer in convolutions:
                weight, bias = reader.convolution()
                gain, shift = reader.affine()
                if layer is network.stem:
                    weight, bias = on_raw_pixels(weight, bias)
                set_convolution(layer, weight * gain[:, None, None, None], bias * gain + shift)
            reader.seek_layer(b"fc_2")
            reader.integers(2)
            network.output.weight.data = torch.from_numpy(reader.tensor().reshape(-1, 128).T.copy()).float()
        except OSError as error:
            raise AssetError(f"face recognition {path}: {error.strerror}") from None
        except (ValueError, IndexError):
            raise AssetError(f"{path}: this is not dlib's {MODEL}") from None
        return network.eval().requires_grad_(False)

    def forward(self, chips: Tensor) -> Tensor:
        """(B, 3, 150, 150) to (B, 128)."""
        features = functional.max_pool2d(self.stem(chips).relu(), 3, 2)
        descriptors: Tensor = self.output(self.blocks(features).mean((2, 3)))
        return descriptors


class _Block(nn.Module):
    """Two 3 x 3 convolutions, added to their input, or where resolution is halved, to 2 x 2 means of it.

    What one summand has more of, channels or a last row and column, counts as 0 in the other.
    """

    def __init__(self, width: int, channels: int, halved: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, channels, 3, 2 if halved else 1, 0 if halved else 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        self.halved = halved

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to (B, channels, about H / 2 or H, ...)."""
        changed = self.second(self.first(x).relu())
        if not self.halved:
            return (changed + x).relu()
        kept = functional.avg_pool2d(x, 2, 2)
        size = [max(a, b) for a, b in zip(changed.shape[1:], kept.shape[1:], strict=True)]
        return (_padded(changed, size) + _padded(kept, size)).relu()


class FaceDescriber:
    """Loads the network once.

    Parameters
    ----------
    model : its mean face says where landmarks lie in the network's input

    Raises
    ------
    AssetError
        when the installation lacks the weights
    """

    def __init__(self, model: FaceModel) -> None:
        self._network = DescriptorNetwork.from_dlib(installed_model(MODEL)).to(model.mean.device)
        self._places = chip_places(model)
        self._number = torch.float32

    def freeze(self) -> None:
        """Keep the weights as the hardware multiplies them fastest; gradients are not possible then."""
        device = self._places.device
        if multiplies_bfloat16(device):
            self._number = torch.bfloat16
        self._network.to(self._number).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        packed(self._network, torch.zeros(1, 3, CHIP_SIZE, CHIP_SIZE, device=device, dtype=self._number))

    def __call__(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        """(B, 128) float32 descriptors; gradients pass to the pictures.

        Parameters
        ----------
        pictures : (B, 3, H, W) float32 RGB, 0 to 255
        landmarks : (B, 68, 2) pixels, in dlib's order
        """
        chips = cut_chips(pictures, landmarks, self._places).to(self._number)
        descriptors: Tensor = self._network(chips.contiguous(memory_format=torch.channels_last)).float()
        return descriptors

    @torch.no_grad()
    def describe(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(128,) float64 descriptor of a face.

        Parameters
        ----------
        picture : (H, W, 3) uint8 RGB
        landmarks : (68, 2) pixels, in dlib's order
        """
        device = self._places.device
        pixels = torch.from_numpy(np.ascontiguousarray(picture)).to(device).permute(2, 0, 1)[None].float()
        points = torch.from_numpy(landmarks).to(device).float()[None]
        return self(pixels, points)[0].cpu().numpy().astype(np.float64)


def chip_places(model: FaceModel) -> Tensor:
    """(68, 2) pixels of the network's input: where the landmarks of the mean face lie, seen from the front."""
    points = landmarks_on_vertices(model, model.mean[None], model.mean.new_zeros(1, 3))[0, :, :2]
    return CHIP_SCALE * points * points.new_tensor([1.0, -1.0]) + points.new_tensor(CHIP_ORIGIN)


def cut_chips(pictures: Tensor, landmarks: Tensor, places: Tensor) -> Tensor:
    """Cut the network's input out of pictures; beyond a picture it is black.

    Parameters
    ----------
    pictures : (B, 3, H, W)
    landmarks : (B, 68, 2) pixels
    places : (68, 2) where they belong

    Returns
    -------
    (B, 3, 150, 150); of a large face each pixel is a mean over the area that it shows
    """
    linear, shift = _similarity(places[STEADY].expand(len(landmarks), -1, -1), landmarks[:, STEADY])
    return torch.cat([_cut_chip(*row) for row in zip(pictures, linear, shift, strict=True)])


def likeness(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Cosine between two descriptors, and their distance."""
    cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
    return cosine, float(np.linalg.norm(first - second))


def _cut_chip(picture: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """(1, 3, 150, 150) from one picture (3, H, W), by the way from the chip's pixels to its own."""
    fine = max(1, math.ceil(linear[0].square().sum().sqrt().item()))
    side = CHIP_SIZE * fine
    centres = (torch.arange(side, device=picture.device) + 0.5) / fine
    chip = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)
    size = linear.new_tensor(picture.shape[:0:-1])
    grid = 2 * (chip @ linear.mT + shift) / size - 1
    return functional.avg_pool2d(functional.grid_sample(picture[None], grid[None], align_corners=False), fine)


def _similarity(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 2, 2) and (B, 2): the turn, scale and shift of source (B, N, 2) that come closest to target (B, N, 2)."""
    source_mean, target_mean = source.mean(1, keepdim=True), target.mean(1, keepdim=True)
    p, q = source - source_mean, target - target_mean
    across = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(1)
    cosine, sine = (p * q).sum((1, 2)) / p.square().sum((1, 2)), across / p.square().sum((1, 2))
    linear = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    return linear, (target_mean - source_mean @ linear.mT)[:, 0]


def _padded(values: Tensor, size: list[int]) -> Tensor:
    """Values (B, C, H, W) with zeros behind them up to a size of (C, H, W)."""
    channels, height, width = (whole - part for whole, part in zip(size, values.shape[1:], strict=True))
    return functional.pad(values, (0, width, 0, height, 0, channels))
