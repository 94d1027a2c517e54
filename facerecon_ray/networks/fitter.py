"""The fitter: a face crop to hundreds of points of the face model, each with its uncertainty, and a first fit.

The points are the 68 landmarks and the face model's dense ones, seen and hidden alike, at any yaw; each comes with the
standard deviation that its error has, learnt by the Gaussian negative log-likelihood (Wood et al., 3D Face
Reconstruction with Dense Landmarks, 2022). They are the means of heat maps (Sun et al., Integral Human Pose
Regression, 2018) that a feature pyramid draws (Lin et al., Feature Pyramid Networks, 2017) over a small residual
network (He et al., Deep Residual Learning, 2016): places are learnt from far fewer faces that way than as numbers. The
same network says where the Gauss-Newton steps of `geometry.fitting` begin: pose and camera (the rotation as two
columns of its matrix: Zhou et al., On the Continuity of Rotation Representations, 2019), and the coefficients of shape
and expression that points and pose make likely (`PointRegression`). Plain convolutions instead of depthwise ones: on
CPUs they are the faster ones.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.mirrored_faces import mirrored_points
from facerecon_ray.geometry.pose import Camera, angles_from_rotation
from facerecon_ray.networks.packed_convolutions import added
from facerecon_ray.networks.point_regression import PointRegression
from facerecon_ray.networks.weight_file import load_network, read_metadata

INPUT_SIZE = 192
STEM_KERNEL, STEM_STRIDE = 5, 3
WIDTHS, BLOCKS = (40, 80, 160, 320), (1, 2, 3, 2)
PLACES, HIDDEN = 64, 512
"""Channels kept at each of the last 4 x 4 places, and width of the layer before rotation and camera."""

TELLING_STEP = 11
"""Coefficients follow from the landmarks, every so manieth dense point and those at the mirrored places."""

USUAL_DEVIATION = 3.0
"""Crop pixels by which a point errs, root mean square along an axis, when the network says 0."""

NOISE_RANK = 40
"""Directions in which the errors of landmarks vary together; see `PointNoise`."""

PYRAMID, MAP_SIDE = 64, 32
"""Channels of the pyramid, and side of the heat maps."""

USUAL_SCALE = 975.0
"""Crop pixels per metre when the network says 0; the logarithm of the scale over this is what it regresses."""

POSE_SIZE, CAMERA_SIZE = 6, 3

FACE_MODEL = "face_model"
"""What the metadata of a weight file call the fingerprint of the face model whose coefficients the network gives."""


Output = tuple[Tensor, Tensor, Tensor]
"""What the network gives, see `FitterNetwork`."""


@dataclass(frozen=True)
class FittedFaces:
    """What the network says of B crops, in the pixels of the 256 x 256 crop.

    camera      scaled orthographic cameras
    rotation    (B, 3, 3) the cameras' rotations
    shape       (B, S) standard deviations
    expression  (B, E) standard deviations
    points      (B, P, 2) pixels, found by themselves and not from the coefficients: landmarks, then dense ones
    deviation   (B, P) standard deviation of each along an axis, pixels: 0 where they are known
    spread      (B,) root mean square distance of the landmarks' heat maps from their means, pixels: 0 where they are
                known
    """

    camera: Camera
    rotation: Tensor
    shape: Tensor
    expression: Tensor
    points: Tensor
    deviation: Tensor
    spread: Tensor

    @property
    def landmarks(self) -> Tensor:
        """(B, 68, 2) pixels."""
        return self.points[:, :LANDMARKS]

    def part(self, rows: slice) -> "FittedFaces":
        """What the network says of some of the crops."""
        coefficients = self.shape[rows], self.expression[rows]
        points = self.points[rows], self.deviation[rows], self.spread[rows]
        return FittedFaces(self.camera.part(rows), self.rotation[rows], *coefficients, *points)


class FitterNetwork(nn.Module):
    """The network.

    Input   (B, 3, 192, 192) float in [0, 1], RGB
    Output  (B, 6 + 3 + S + E + 68 + D) float: rotation, camera, coefficients, logarithms of the points' deviations;
            (B, 68 + D, 32, 32) the points' heat maps before their softmax, without gradients those of the landmarks
            alone; and (B, 68 + D, 2) the means of the heat maps. `read` says what they mean

    Parameters
    ----------
    shape_size, expression_size, dense : coefficients and dense landmarks of the face model
    telling : (T,) the points from which coefficients follow
    mirrored : (T,) for each of those its number among them that lies at the mirrored place

    noise_factors, noise_own    what `PointNoise` needs to know of how landmarks err on faces that were not trained on
    coefficient_noise   (S + E, S + E) float64 covariance of the errors of shape and expression on such faces
    """

    noise_factors: Tensor
    noise_own: Tensor
    coefficient_noise: Tensor

    telling: Tensor
    mirrored: Tensor

    def __init__(self, shape_size: int, expression_size: int, dense: int, telling: Tensor, mirrored: Tensor) -> None:
        super().__init__()
        points = LANDMARKS + dense
        self._sizes = (POSE_SIZE, CAMERA_SIZE, shape_size, expression_size)
        channels = WIDTHS[0] // 2
        self.stem = _convolution(3, channels, STEM_STRIDE, STEM_KERNEL)
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
        self.coefficients = PointRegression(len(telling), shape_size + expression_size)
        self.register_buffer("telling", telling, persistent=False)
        self.register_buffer("mirrored", mirrored, persistent=False)
        self.deviations = nn.Linear(HIDDEN, points)
        self.sides = nn.ModuleList(nn.Conv2d(width, PYRAMID, 1) for width in WIDTHS)
        self.merges = nn.ModuleList(_convolution(PYRAMID, PYRAMID, 1) for _ in WIDTHS[:-1])
        self.maps = nn.Conv1d(PYRAMID, points, 1)
        self.register_buffer("noise_factors", torch.zeros(2 * LANDMARKS, NOISE_RANK, dtype=torch.float64))
        self.register_buffer("noise_own", torch.ones(2 * LANDMARKS, dtype=torch.float64))
        self.register_buffer("coefficient_noise", torch.eye(shape_size + expression_size, dtype=torch.float64))

    def forward(self, crops: Tensor, chosen: Tensor | None = None) -> Output:
        """(B, 3, 192, 192) to (B, outputs), (B, 68 + D, 32, 32) and (B, 68 + D, 2).

        (P,) of the points may be chosen, the telling ones first. Maps, means and deviations are those of the chosen
        then, in that order: the maps of all take as long as the rest of the network, with their gradients longer.
        """
        joined, pyramid = self._features(crops)
        with torch.autocast(crops.device.type, enabled=False):
            maps, means = self._points(pyramid.float(), chosen)
            hidden = self.hidden(joined.float())
            placement, deviations = self.placement(hidden), self.deviations(hidden)
            deviations = deviations if chosen is None else deviations[:, chosen]
            telling = means[:, self.telling] if chosen is None else means[:, : len(self.telling)]
            coefficients = self.coefficients(telling, rotation_of(placement[:, :POSE_SIZE].detach()))
            return torch.cat([placement, coefficients, deviations], 1), maps, means

    def glance(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 68, 2) landmarks in crop pixels and (B, 3, 3) rotations alone, without the dense points' maps."""
        joined, pyramid = self._features(crops)
        with torch.autocast(crops.device.type, enabled=False):
            _, means = self._points(pyramid.float(), torch.arange(LANDMARKS, device=crops.device))
            return means, rotation_of(self.placement(self.hidden(joined.float()))[:, :POSE_SIZE])

    def _points(self, pyramid: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Heat maps of the chosen points or of all, without gradients of the landmarks alone; and all their means."""
        if torch.is_grad_enabled():
            drawn = self._maps(pyramid, chosen)
            return drawn, means_of(drawn)
        # On a CPU one face's maps stay in the cache from one operation to the next: a third of the time of a batch's.
        alone = pyramid.device.type == "cpu" and not torch.compiler.is_exporting()
        maps, means = [], []
        for faces in pyramid.split(1) if alone else (pyramid,):
            drawn = self._maps(faces, chosen)
            maps.append(drawn[:, :LANDMARKS].clone())
            means.append(means_of(drawn))
        return torch.cat(maps), torch.cat(means)

    def _maps(self, pyramid: Tensor, chosen: Tensor | None) -> Tensor:
        weight, bias = self.maps.weight, self.maps.bias
        assert bias is not None
        if chosen is not None:
            weight, bias = weight[chosen], bias[chosen]
        return functional.conv1d(pyramid.flatten(2), weight, bias).unflatten(2, pyramid.shape[2:])

    def _features(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, ...) what the whole crop shows, and (B, 64, 32, 32) what its places do.

        What is regressed from them would, in bfloat16, be off by as much as the network is on faces it knows.
        """
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
        return joined, up

    def round_convolutions(self) -> None:
        """Keep in bfloat16 what mixed precision would round anew at every call; other calls are not possible then."""
        for part in (self.stem, self.levels, self.places, self.sides, self.merges):
            part.to(torch.bfloat16)

    def read(self, output: Output) -> FittedFaces:
        """What an output means."""
        numbers, maps, means = output
        pose, camera, shape, expression, deviation = numbers.float().split([*self._sizes, means.shape[1]], 1)
        rotation = rotation_of(pose)
        scale = camera[:, 0].clamp(-2.0, 2.0).exp() * USUAL_SCALE
        place = CROP_SIZE / 2 * (1.0 + camera[:, 1:])
        camera_of_crop = Camera(angles_from_rotation(rotation), scale, place)
        spread = _variances(maps[:, :LANDMARKS], means[:, :LANDMARKS]).mean(-1).clamp(min=0.0).sqrt()
        sizes = deviation.clamp(-4.0, 4.0).exp() * USUAL_DEVIATION
        return FittedFaces(camera_of_crop, rotation, shape, expression, means, sizes, spread)


def rotation_of(pose: Tensor) -> Tensor:
    """(B, 3, 3) rotations from (B, 6) numbers: their first two columns, of which the network says how they differ from
    those of the identity."""
    first = functional.normalize(pose[:, :3] + pose.new_tensor([1.0, 0.0, 0.0]), dim=-1)
    second = pose[:, 3:] + pose.new_tensor([0.0, 1.0, 0.0])
    second = functional.normalize(second - (first * second).sum(-1, keepdim=True) * first, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def means_of(maps: Tensor) -> Tensor:
    """(B, P, 2) mean places of heat maps (B, P, H, H) after their softmax, crop pixels."""
    share = maps.flatten(2).softmax(-1)
    side = maps.shape[-1]
    places = _places(side, maps)
    both = torch.stack([places.expand(side, side), places[:, None].expand(side, side)], -1).flatten(0, 1)
    return share @ both


def _variances(maps: Tensor, means: Tensor) -> Tensor:
    """(B, P) mean squared distances of heat maps (B, P, H, H) from their means (B, P, 2), pixels^2."""
    share = maps.flatten(2).softmax(-1).view_as(maps)
    places = _places(maps.shape[-1], maps)
    square = (places - means[..., None]).square()
    return (share.sum(2) * square[:, :, 0]).sum(-1) + (share.sum(3) * square[:, :, 1]).sum(-1)


def _places(side: int, like: Tensor) -> Tensor:
    """(side,) crop pixels of the middles of a heat map's columns."""
    return (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) * (CROP_SIZE / side)


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
    """(B, 3, 192, 192) the network's input from crops (B, 3, 256, 256), both in [0, 1]."""
    return functional.interpolate(crops, size=[INPUT_SIZE, INPUT_SIZE], mode="bilinear", antialias=True)


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
            "(fit.method=landmarks)"
        )
    return load_network(network_for(model), path, "fitter")


def network_for(model: FaceModel) -> FitterNetwork:
    """An untrained network for a face model."""
    telling = telling_points(model)
    mirrored = torch.searchsorted(telling, mirrored_points(model)[telling])
    return FitterNetwork(model.shape_size, model.expression_size, len(model.dense_landmarks), telling, mirrored)


def telling_points(model: FaceModel) -> Tensor:
    """(T,) int64 the points from which coefficients follow, with each the one at its mirrored place."""
    dense = torch.arange(LANDMARKS, LANDMARKS + len(model.dense_landmarks), TELLING_STEP)
    return torch.cat([torch.arange(LANDMARKS), torch.cat([dense, mirrored_points(model)[dense]]).unique()])


def _convolution(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
