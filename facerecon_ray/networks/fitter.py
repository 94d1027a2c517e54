"""The fitter: a face crop to the face model's pose, shape and expression, and to landmarks, at any yaw.

A small residual network (He et al., Deep Residual Learning, 2016) regresses the face model directly, as 3DDFA_V2 does
for the Basel Face Model (Guo et al., Towards Fast, Accurate and Stable 3D Dense Face Alignment, 2020); the rotation as
two columns of its matrix (Zhou et al., On the Continuity of Rotation Representations, 2019). Landmarks are the means
of heat maps (Sun et al., Integral Human Pose Regression, 2018) that a feature pyramid draws (Lin et al., Feature
Pyramid Networks, 2017): places are learnt from far fewer faces that way than as numbers. Shape and expression follow
from the landmarks: regressed from the picture's features, of some thousand subjects, they are those of the mean face.
Plain convolutions instead of depthwise ones: on CPUs they are the faster ones.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel, usual_landmark_noise
from facerecon_ray.geometry.pose import Camera, angles_from_rotation
from facerecon_ray.networks.packed_convolutions import added
from facerecon_ray.networks.weight_file import load_network, read_metadata

INPUT_SIZE = 128
LANDMARKS = 68
WIDTHS, BLOCKS = (40, 80, 160, 320), (1, 2, 3, 2)
PLACES, HIDDEN = 64, 512
"""Channels kept at each of the last 4 x 4 places, and width of the layer before rotation and camera."""

OF_LANDMARKS = 256
"""Width of the layer between landmarks and coefficients."""

LANDMARK_SCALE = 4.0
"""By which landmarks, in shares of their spread, are multiplied: faces differ by a small part of it."""

PYRAMID, MAP_SIDE = 64, 32
"""Channels of the pyramid, and side of the heat maps."""

USUAL_SCALE = 975.0
"""Crop pixels per metre when the network says 0; the logarithm of the scale over this is what it regresses."""

POSE_SIZE, CAMERA_SIZE = 6, 3

FACE_MODEL = "face_model"
"""What the metadata of a weight file call the fingerprint of the face model whose coefficients the network gives."""


@dataclass(frozen=True)
class FittedFaces:
    """What the network says of B crops, in the pixels of the 256 x 256 crop.

    camera      scaled orthographic cameras
    rotation    (B, 3, 3) the cameras' rotations
    shape       (B, S) standard deviations
    expression  (B, E) standard deviations
    landmarks   (B, 68, 2) pixels, found by themselves and not from the coefficients
    spread      (B,) root mean square distance of the landmarks' heat maps from their means, pixels: 0 where landmarks
                are known
    """

    camera: Camera
    rotation: Tensor
    shape: Tensor
    expression: Tensor
    landmarks: Tensor
    spread: Tensor


class FitterNetwork(nn.Module):
    """The network.

    Input   (B, 3, 128, 128) float in [0, 1], RGB
    Output  (B, 6 + 3 + S + E) float: rotation, camera, coefficients; and (B, 68, 32, 32) the landmarks' heat maps
            before their softmax. `read` says what they mean

    Parameters
    ----------
    shape_size, expression_size : coefficients of the face model

    landmark_noise      (136, 136) float64 covariance of the landmarks' errors on faces that were not trained on, in
                        squared shares of the landmarks' box size, x before y for each landmark
    coefficient_noise   (S + E, S + E) float64 covariance of the errors of shape and expression on such faces
    """

    landmark_noise: Tensor
    coefficient_noise: Tensor

    def __init__(self, shape_size: int, expression_size: int) -> None:
        super().__init__()
        self._sizes = (POSE_SIZE, CAMERA_SIZE, shape_size, expression_size)
        channels = WIDTHS[0] // 2
        self.stem = _convolution(3, channels, 2)
        self.levels = nn.ModuleList()
        for width, count in zip(WIDTHS, BLOCKS, strict=True):
            blocks = [
                _Residual(channels if number == 0 else width, width, 1 if number else 2) for number in range(count)
            ]
            self.levels.append(nn.Sequential(*blocks))
            channels = width
        self.places = nn.Sequential(nn.Conv2d(channels, PLACES, 1), nn.ReLU(inplace=True))
        self.hidden = nn.Sequential(nn.Linear(PLACES * 16 + channels, HIDDEN), nn.ReLU(inplace=True))
        self.placement = nn.Linear(HIDDEN, POSE_SIZE + CAMERA_SIZE)
        self.coefficients = nn.Sequential(
            nn.Linear(2 * LANDMARKS, OF_LANDMARKS),
            nn.ReLU(inplace=True),
            nn.Linear(OF_LANDMARKS, shape_size + expression_size),
        )
        self.sides = nn.ModuleList(nn.Conv2d(width, PYRAMID, 1) for width in WIDTHS)
        self.merges = nn.ModuleList(_convolution(PYRAMID, PYRAMID, 1) for _ in WIDTHS[:-1])
        self.maps = nn.Conv2d(PYRAMID, LANDMARKS, 1)
        self.register_buffer("landmark_noise", usual_landmark_noise().double())
        self.register_buffer("coefficient_noise", torch.eye(shape_size + expression_size, dtype=torch.float64))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, 128, 128) to (B, outputs) and (B, 68, 32, 32)."""
        x = self.stem(crops - 0.5)
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        joined = torch.cat([self.places(x).flatten(1), x.mean((2, 3))], 1)
        up = self.sides[-1](x)
        for feature, side, merge in zip(
            reversed(features[:-1]), reversed(self.sides[:-1]), reversed(self.merges), strict=True
        ):
            up = merge(side(feature) + functional.interpolate(up, scale_factor=2.0))
        # Rounded to bfloat16, what is regressed would be off by as much as the network is on faces it knows.
        with torch.autocast(crops.device.type, enabled=False):
            maps = self.maps(up.float())
            # Landmarks are learnt where they are seen, not where they would make the coefficients right.
            marks = _arrangement(_moments(maps.detach())[0])
            return torch.cat([self.placement(self.hidden(joined.float())), self.coefficients(marks)], 1), maps

    def round_convolutions(self) -> None:
        """Keep in bfloat16 what mixed precision would round anew at every call; other calls are not possible then."""
        for part in (self.stem, self.levels, self.places, self.sides, self.merges):
            part.to(torch.bfloat16)

    def read(self, output: tuple[Tensor, Tensor]) -> FittedFaces:
        """What an output means."""
        numbers, maps = output
        pose, camera, shape, expression = numbers.float().split(self._sizes, 1)
        first = functional.normalize(pose[:, :3] + pose.new_tensor([1.0, 0.0, 0.0]), dim=-1)
        second = pose[:, 3:] + pose.new_tensor([0.0, 1.0, 0.0])
        second = functional.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
        rotation = torch.stack([first, second, torch.linalg.cross(first, second)], -1)
        scale = camera[:, 0].clamp(-2.0, 2.0).exp() * USUAL_SCALE
        place = CROP_SIZE / 2 * (1.0 + camera[:, 1:])
        camera_of_crop = Camera(angles_from_rotation(rotation), scale, place)
        means, variances = _moments(maps.float())
        spread = variances.sum(-1).mean(-1).clamp(min=0.0).sqrt()
        return FittedFaces(camera_of_crop, rotation, shape, expression, means, spread)


def _moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean place and variance of heat maps (B, 68, H, H) after their softmax, (B, 68, 2) crop pixels, pixels^2."""
    share = maps.flatten(2).softmax(-1).view_as(maps)
    places = (torch.arange(maps.shape[-1], device=maps.device) + 0.5) * (CROP_SIZE / maps.shape[-1])
    along = torch.stack([share.sum(2), share.sum(3)], 2)
    means = (along * places).sum(-1)
    return means, (along * (places - means[..., None]).square()).sum(-1)


def _arrangement(landmarks: Tensor) -> Tensor:
    """(B, 136) landmarks (B, 68, 2) about their middle, in shares of their spread."""
    centred = landmarks - landmarks.mean(1, keepdim=True)
    spread = centred.square().sum(-1).mean(-1).sqrt().clamp(min=1.0)
    return LANDMARK_SCALE * (centred / spread[:, None, None]).flatten(1)


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
        return added(self.second, self.first(x), self.shortcut(x))


def shrink(crops: Tensor) -> Tensor:
    """(B, 3, 128, 128) the network's input from crops (B, 3, 256, 256), both in [0, 1]."""
    return functional.avg_pool2d(crops, CROP_SIZE // INPUT_SIZE)


def load_weights(path: Path, model: FaceModel) -> FitterNetwork:
    """Read the network from a weight file.

    Raises
    ------
    AssetError
        as `load_network` does, and when the network was trained for another face model
    """
    known = read_metadata(path, "fitter").get(FACE_MODEL)
    if known is not None and known != model.fingerprint:
        raise AssetError(
            f"fitter weights {path}: they are for another face model; train a fitter for this one, or fit landmarks "
            "(rotate.fit=landmarks)"
        )
    return load_network(FitterNetwork(model.shape_size, model.expression_size), path, "fitter")


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
