"""The fitter at work: the face model's pose, shape, expression and landmarks from crops, and landmarks from boxes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.assets import FITTER_WEIGHTS
from facerecon_ray.geometry.crop_transform import (
    CROP_SIZE,
    apply_transform,
    crop_transform,
    cut_crop,
    invert_transform,
    roll_of_transform,
    square_transform,
)
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, with_known_shape
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.point_noise import PointNoise
from facerecon_ray.geometry.pose import angles_from_rotation
from facerecon_ray.networks.both_ways import look_both_ways
from facerecon_ray.networks.device import multiplies_bfloat16
from facerecon_ray.networks.fitter import INPUT_SIZE, FittedFaces, load_weights, shrink
from facerecon_ray.networks.folded_norms import folded
from facerecon_ray.networks.landmark_predictor import adjust_boxes
from facerecon_ray.networks.packed_convolutions import packed

MOST_ROLL_IN_CROP = 16.0
"""Degrees beyond which a face is looked at again, upright. In photos turned by 45 degrees fitted landmarks then move
by 0.42 % of the face; beyond 8, which is the case for two faces of five, by 0.41 % (benchmarks/detectors.py)."""

SAME_POINTS = 30.0
"""How much more the coefficients that the network expects count than they would beside points of their own: it made
them from the points. For that reason too the steps look at the landmarks alone; the dense points have told what they
know. The fit of 100 rendered heads is 50.0 % closer to them than the mean head is, by a factor of 10 49.6 %
(benchmarks/fit_recovery.py --heads 100)."""

BOX_TO_CROP = (-0.028, -0.071, 1.646)
"""Where the crop of a face lies to its HOG box: shift right and down in box widths, and growth. Medians over 400
rendered faces at yaws from -90 to 90 degrees, over which they change by less than a tenth of the box."""


class NetworkFitter:
    """Fits a face model to crops: the network finds points and a first pose, Gauss-Newton steps do the rest.

    The network finds the coefficients from hundreds of points; the steps, which know how its landmarks err, find pose
    and distance, and correct the coefficients.

    Parameters
    ----------
    weights : of the fitter; without them, those that come with the package
    model : the face model; fits run on its device

    Raises
    ------
    AssetError
        when the weights are missing, or of another network or face model
    """

    def __init__(self, weights: Path | None, model: FaceModel) -> None:
        self.device = model.mean.device
        network = load_weights(weights or FITTER_WEIGHTS, model).to(self.device)
        self._mixed = multiplies_bfloat16(self.device)
        folded(network)
        if self._mixed:
            network.round_convolutions()
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            packed(network, torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE, device=self.device))
        noise = PointNoise(network.noise_factors, network.noise_own)
        known = with_known_shape(network.coefficient_noise, model.shape_size)
        self._fit = LandmarkFitter(model, noise, network.coefficient_noise / SAME_POINTS)
        self._fit_known = LandmarkFitter(model, noise, known)

    @torch.no_grad()
    def __call__(self, crops: Tensor, lens: Lens | None) -> Fit:
        """Fit.

        Parameters
        ----------
        crops : (B, 3, 256, 256) float32 0 to 255
        lens : what is known of their cameras; None: faces are fitted as from far away

        Returns
        -------
        Fit of B faces in crop pixels
        """
        return self.read_and_fit(crops, lens)[1]

    @torch.no_grad()
    def read_and_fit(self, crops: Tensor, lens: Lens | None) -> tuple[FittedFaces, Fit]:
        """What the network itself says of crops, and the fit to it: where the two disagree, one of them is wrong."""
        found = self.read(crops)
        fit = self._fit(
            found.landmarks,
            found.deviation[:, :LANDMARKS],
            start=found.camera,
            expected=torch.cat([found.shape, found.expression], 1),
            lens=lens,
        )
        return found, fit

    @torch.no_grad()
    def fit_known(self, found: FittedFaces, shape: Tensor, lens: Lens | None) -> Fit:
        """The fit to what the network has said of crops, of faces whose shape (B, S) is known."""
        return self._fit_known(
            found.landmarks,
            found.deviation[:, :LANDMARKS],
            start=found.camera,
            expected=torch.cat([shape, found.expression], 1),
            lens=lens,
        )

    @torch.no_grad()
    def read(self, crops: Tensor) -> FittedFaces:
        """What the network itself says of crops and their mirror images."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            return look_both_ways(self._network, _inputs(shrink(crops)))

    @torch.no_grad()
    def glance(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 68, 2) landmarks, crop pixels, and (B,) rolls, degrees, of the faces in crops; quicker than `read`.

        These crops have the network's own size: (B, 3, 192, 192), 0 to 255.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._mixed):
            landmarks, rotation = self._network.glance(_inputs(pictures))
        return landmarks, angles_from_rotation(rotation)[:, 2]


class NetworkLandmarks:
    """Landmarks and rolls of faces whose boxes are known, at any yaw.

    A second look, at the crop by the first landmarks, is taken where a face does not stand upright in its first crop.

    Parameters
    ----------
    fit : finds them in crops
    """

    def __init__(self, fit: NetworkFitter) -> None:
        self._fit, self._device = fit, fit.device

    def predict_all(self, photo: np.ndarray, boxes: np.ndarray, rolls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the landmarks of each face.

        Parameters
        ----------
        photo : (H, W, 3) uint8 RGB
        boxes : (B, 4) x0, y0, x1, y1 in photo pixels, of the kind that dlib's HOG detector gives
        rolls : (B,) of the faces as far as known, degrees; the boxes are turned by it about their middles

        Returns
        -------
        (B, 68, 2) float64 photo pixels; and (B,) float64 rolls of the faces in the photo, degrees
        """
        landmarks, found = self._look(photo, square_transform(adjust_boxes(boxes, BOX_TO_CROP, rolls), rolls))
        again = np.flatnonzero(np.abs(found - rolls) > MOST_ROLL_IN_CROP)
        if len(again):
            landmarks[again], found[again] = self._look(photo, crop_transform(landmarks[again], found[again]))
        return landmarks, found

    def _look(self, photo: np.ndarray, transforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Landmarks in the photo, and rolls there, of the faces in crops (B, 2, 3)."""
        smaller = INPUT_SIZE / CROP_SIZE
        pictures = np.stack([cut_crop(photo, smaller * transform, INPUT_SIZE) for transform in transforms])
        found = self._fit.glance(torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2))
        landmarks, rolls = (values.cpu().numpy().astype(np.float64) for values in found)
        return apply_transform(invert_transform(transforms), landmarks), rolls + roll_of_transform(transforms)


def _inputs(pictures: Tensor) -> Tensor:
    """The network's input from pictures 0 to 255."""
    return (pictures / 255).contiguous(memory_format=torch.channels_last)
