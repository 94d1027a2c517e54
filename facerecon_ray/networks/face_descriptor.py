"""Who is in a picture: dlib's face recognition network, 128 numbers a face.

Pictures of one person are less than 0.6 apart, of different people mostly more (dlib's dnn_face_recognition_ex).
"""

import dlib
import numpy as np

from facerecon_ray.networks.dlib_models import installed_model

MODEL = "dlib_face_recognition_resnet_model_v1.dat"
SAME_PERSON = 0.6


class FaceDescriber:
    """Loads the network once.

    Raises
    ------
    AssetError
        when the installation lacks the weights
    """

    def __init__(self) -> None:
        self._model = dlib.face_recognition_model_v1(str(installed_model(MODEL)))

    def describe(self, picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """(128,) float64 descriptor of a face.

        Parameters
        ----------
        picture : (H, W, 3) uint8 RGB
        landmarks : (68, 2) pixels, in dlib's order
        """
        points = [dlib.point(round(x), round(y)) for x, y in (landmarks - 0.5).tolist()]
        low, high = landmarks.min(0).round().astype(int), landmarks.max(0).round().astype(int)
        shape = dlib.full_object_detection(dlib.rectangle(*low.tolist(), *high.tolist()), points)
        return np.array(self._model.compute_face_descriptor(np.ascontiguousarray(picture), shape))


def likeness(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Cosine between two descriptors, and their distance."""
    cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
    return cosine, float(np.linalg.norm(first - second))
