"""The fitter: a face crop to the face model's pose, shape, expression and landmarks, at any yaw.

A small residual network (He et al., Deep Residual Learning, 2016) regresses them directly, as 3DDFA_V2 does for the
Basel Face Model (Guo et al., Towards Fast, Accurate and Stable 3D Dense Face Alignment, 2020); the rotation is
regressed as two columns of its matrix (Zhou et al., On the Continuity of Rotation Representations, 2019). Plain
convolutions instead of depthwise ones: on CPUs they are the faster ones for the same accuracy.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.pose import Camera, angles_from_rotation
from facerecon_ray.networks.weight_file import load_network

INPUT_SIZE = 128
LANDMARKS = 68
WIDTHS, BLOCKS = (40, 80, 160, 320), (1, 2, 3, 2)
PLACES, HIDDEN = 64, 512
"""Channels kept at each of the last 4 x 4 places, and width of the layer before the outputs."""

USUAL_SCALE = 975.0
"""Crop pixels per metre when the network says 0; the logarithm of the scale over this is what it regresses."""

POSE_SIZE, CAMERA_SIZE = 6, 3


@dataclass(frozen=True)
class FittedFaces:
    """What the network says of B crops, in the pixels of the 256 x 256 crop.

    camera      scaled orthographic cameras
    rotation    (B, 3, 3) the cameras' rotations
    shape       (B, S) standard deviations
    expression  (B, E) standard deviations
    landmarks   (B, 68, 3) image frame, pixels, regressed by themselves and not from the coefficients; z is 0 at the
                depth of the model's origin
    """

    camera: Camera
    rotation: Tensor
    shape: Tensor
    expression: Tensor
    landmarks: Tensor


class FitterNetwork(nn.Module):
    """The network.

    Input   (B, 3, 128, 128) float in [0, 1], RGB
    Output  (B, 6 + 3 + S + E + 204) float: rotation, camera, coefficients, landmarks; `read` says what they mean

    Parameters
    ----------
    shape_size, expression_size : coefficients of the face model
    """

    def __init__(self, shape_size: int, expression_size: int) -> None:
        super().__init__()
        self._sizes = (POSE_SIZE, CAMERA_SIZE, shape_size, expression_size, LANDMARKS * 3)
        stem = WIDTHS[0] // 2
        blocks = []
        channels = stem
        for width, count in zip(WIDTHS, BLOCKS, strict=True):
            for number in range(count):
                blocks.append(_Residual(channels, width, 1 if number else 2))
                channels = width
        self.stem = _convolution(3, stem, 2)
        self.blocks = nn.Sequential(*blocks)
        self.places = nn.Sequential(nn.Conv2d(channels, PLACES, 1), nn.ReLU(inplace=True))
        self.hidden = nn.Sequential(nn.Linear(PLACES * 16 + channels, HIDDEN), nn.ReLU(inplace=True))
        self.output = nn.Linear(HIDDEN, sum(self._sizes))

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, 128, 128) to (B, outputs)."""
        features = self.blocks(self.stem(crops - 0.5))
        joined = torch.cat([self.places(features).flatten(1), features.mean((2, 3))], 1)
        # Rounded to bfloat16, landmarks would move by a quarter of a pixel.
        with torch.autocast(crops.device.type, enabled=False):
            result: Tensor = self.output(self.hidden(joined.float()))
        return result

    def read(self, output: Tensor) -> FittedFaces:
        """What an output means."""
        pose, camera, shape, expression, landmarks = output.float().split(self._sizes, 1)
        first = functional.normalize(pose[:, :3] + pose.new_tensor([1.0, 0.0, 0.0]), dim=-1)
        second = pose[:, 3:] + pose.new_tensor([0.0, 1.0, 0.0])
        second = functional.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
        rotation = torch.stack([first, second, torch.linalg.cross(first, second)], -1)
        scale = camera[:, 0].clamp(-2.0, 2.0).exp() * USUAL_SCALE
        middle = CROP_SIZE / 2
        place = middle + middle * camera[:, 1:]
        depth_zero = landmarks.new_tensor([middle, middle, 0.0])
        return FittedFaces(
            Camera(angles_from_rotation(rotation), scale, place),
            rotation,
            shape,
            expression,
            landmarks.unflatten(1, (LANDMARKS, 3)) * middle + depth_zero,
        )


class _Residual(nn.Module):
    """Two 3 x 3 convolutions, added to their input, which is projected where its shape differs."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, stride)
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        same = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return functional.relu(self.shortcut(x) + self.second(self.first(x)))


def shrink(crops: Tensor) -> Tensor:
    """(B, 3, 128, 128) the network's input from crops (B, 3, 256, 256), both in [0, 1]."""
    return functional.avg_pool2d(crops, CROP_SIZE // INPUT_SIZE)


def load_weights(path: Path, shape_size: int, expression_size: int) -> FitterNetwork:
    """Read the network from a weight file; see `load_network`."""
    return load_network(FitterNetwork(shape_size, expression_size), path, "fitter")


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
