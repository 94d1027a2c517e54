"""The landmarks of the one face in a picture that is known to show one."""

import numpy as np

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes


class FaceFinder:
    """The crop stage's detector and landmark predictor, for single pictures."""

    def __init__(self, settings: CropSettings) -> None:
        self._detector = build_detector(settings)
        self._landmarks = LandmarkPredictor(settings.landmark_model)

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        """(68, 2) landmarks in pixels of the face that the detector is surest of, None where it finds none.

        Parameters
        ----------
        picture : (H, W, 3) uint8 RGB
        """
        found = self._detector.detect([picture])[0]
        if len(found.boxes) == 0:
            return None
        best = found.boxes[int(found.scores.argmax())]
        return self._landmarks.predict(picture, adjust_boxes(best, self._detector.box_adjustment))
