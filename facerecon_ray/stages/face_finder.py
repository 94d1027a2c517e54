"""Faces in a picture, and their landmarks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.networks.face_detectors import build_detector, side_to_decode
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.stages.network_fitting import NetworkFitter, NetworkLandmarks


class FaceFinder:
    """The detector and what finds landmarks, as the settings name them.

    Parameters
    ----------
    settings : of the crop stage
    fitter : weights of the fitter for the face model; without them, those that come with the package
    face_model : of the fitter; the embedded one counts where there are no weights

    Raises
    ------
    AssetError
        when a file is missing or of another kind
    """

    def __init__(
        self, settings: CropSettings, fitter: Path | None = None, face_model: FaceModel | Path | None = None
    ) -> None:
        self._detector = build_detector(settings)
        self._settings = settings
        self._landmarks: LandmarkPredictor | NetworkLandmarks
        if settings.landmarks == "dlib":
            self._landmarks = LandmarkPredictor(settings.landmark_model)
        else:
            given = face_model if fitter else None
            model = FaceModel.open(given)
            self._landmarks = NetworkLandmarks(NetworkFitter(fitter, model.to(resolve_device(settings.device))))

    def side_to_decode(self, longest: int) -> float:
        """Pixels of the longer side that are wanted of a photo whose original has so many."""
        return side_to_decode(longest, self._settings)

    @property
    def photos_at_once(self) -> int:
        """So many photos are detected in together; more are no faster."""
        return self._detector.photos_at_once

    def detect(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        """Find the faces in each of pictures (H, W, 3) uint8 RGB."""
        return self._detector.detect(pictures)

    def landmarks(self, picture: np.ndarray, boxes: np.ndarray, rolls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(B, 68, 2) landmarks in pixels of a picture (H, W, 3) uint8 RGB, and (B,) the faces' rolls in degrees.

        Parameters
        ----------
        boxes, rolls : (B, 4), (B,) as the detector gives them
        """
        adjusted = adjust_boxes(boxes, self._detector.box_adjustment, rolls)
        return self._landmarks.predict_all(picture, adjusted, rolls)

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(68, 2) landmarks of the face that the detector is surest of, None where it finds none."""
        found = self.detect([picture])[0]
        if len(found.boxes) == 0:
            return None
        best = int(found.scores.argmax())
        marks, _ = self.landmarks(picture, found.boxes[best : best + 1], found.rolls[best : best + 1])
        return np.asarray(marks[0])
