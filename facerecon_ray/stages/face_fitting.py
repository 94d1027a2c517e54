"""The face model fitted to crops, as the fit stage's settings say: by the network, or to the crops' landmarks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.reconstruct import FitSettings
from facerecon_ray.geometry.crop_camera import crop_lens, pose_in_photo
from facerecon_ray.geometry.crop_transform import apply_transform, invert_transform
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, with_known_shape
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.networks.fitter import FittedFaces
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.stages.stage import Batch, Column


@dataclass(frozen=True)
class FittedCrops:
    """Fits of B crops, in their pixels.

    fit        the faces
    landmarks  (B, 68, 2) to which they were fitted
    lens       what was known of their cameras
    found      what the network said, where it was asked
    """

    fit: Fit
    landmarks: Tensor
    lens: Lens
    found: FittedFaces | None = None

    def evidence(self, model: FaceModel) -> ShapeEvidence:
        """What each crop tells of its face's shape."""
        return ShapeEvidence.of(model, self.fit, self.found is not None)


class FaceFitting:
    """Loads what the settings ask for.

    Raises
    ------
    AssetError
        when the fitter's weights are missing, of another kind, or for another face model
    """

    def __init__(self, settings: FitSettings, model: FaceModel, fitter: Path | None = None) -> None:
        self._device = model.mean.device
        self._by_network = NetworkFitter(fitter, model) if settings.method == "network" else None
        self._by_landmarks = LandmarkFitter(model) if settings.method == "landmarks" else None
        size = model.shape_size + model.expression_size
        known = with_known_shape(torch.eye(size, device=self._device), model.shape_size)
        self._by_landmarks_known = LandmarkFitter(model, None, known) if settings.method == "landmarks" else None

    def __call__(self, photos: Tensor, batch: Batch) -> FittedCrops:
        """Fit crops.

        Parameters
        ----------
        photos : (B, 3, 256, 256) float32 0 to 255
        batch : crop_transform, photo_width, photo_height, focal_length, landmarks (photo pixels)
        """
        known = (batch[name] for name in ("focal_length", "photo_width", "photo_height", "crop_transform"))
        lens = crop_lens(*known).to(self._device)
        if self._by_network is not None:
            found, fit = self._by_network.read_and_fit(photos, lens)
            return FittedCrops(fit, found.landmarks, lens, found)
        assert self._by_landmarks is not None
        places = apply_transform(batch["crop_transform"], batch["landmarks"]).astype(np.float32)
        landmarks = torch.from_numpy(places).to(self._device)
        return FittedCrops(self._by_landmarks(landmarks, lens=lens), landmarks, lens)

    def with_shape(self, crops: FittedCrops, shape: Tensor) -> Fit:
        """Fit faces in crops again, whose shape (B, S) is known by now: pose, camera and expression."""
        if self._by_network is not None and crops.found is not None:
            return self._by_network.fit_known(crops.found, shape, crops.lens)
        assert self._by_landmarks_known is not None
        expected = torch.cat([shape, torch.zeros_like(crops.fit.expression)], 1)
        return self._by_landmarks_known(crops.landmarks, start=crops.fit.camera, expected=expected, lens=crops.lens)


def fit_outputs(model: FaceModel) -> dict[str, Column]:
    """What `fit_columns` gives."""
    return {
        "landmarks": Column(np.float32, (LANDMARKS, 2)),
        "pose": Column(np.float32, (3,)),
        "camera": Column(np.float32, (6,)),
        "shape": Column(np.float32, (model.shape_size,)),
        "expression": Column(np.float32, (model.expression_size,)),
        "fit_error": Column(np.float32),
    }


def fit_columns(fit: Fit, crop_transform: np.ndarray) -> dict[str, Tensor]:
    """Columns of B fitted faces.

    landmarks      (68, 2) photo pixels, by what was found and the fitted face together
    pose           (3,) yaw, pitch, roll of the face in the photo, degrees
    camera         (6,) `Camera.row`, crop pixels: scale, x, y, nearness, ray's x and y
    shape, expression   (S,), (E,) coefficients in standard deviations
    fit_error      mean distance of the fitted face's landmarks to those that were found, share of their box size

    Parameters
    ----------
    fit : crop pixels
    crop_transform : (B, 2, 3) photo pixels to crop pixels
    """
    in_crop = fit.landmarks[..., :2].double().cpu().numpy()
    return {
        "landmarks": torch.from_numpy(apply_transform(invert_transform(crop_transform), in_crop)),
        "pose": pose_in_photo(fit.camera.angles, crop_transform),
        "camera": fit.camera.row,
        "shape": fit.shape,
        "expression": fit.expression,
        "fit_error": fit.error,
    }
