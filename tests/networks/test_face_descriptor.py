import numpy as np
import pytest
import skimage.data

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.networks.face_descriptor import SAME_PERSON, FaceDescriber, likeness
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes


@pytest.fixture(scope="module")
def astronaut() -> tuple[np.ndarray, np.ndarray]:
    """A photo and its 68 landmarks."""
    photo = skimage.data.astronaut()
    detector = build_detector(CropSettings(device="cpu"))
    box = adjust_boxes(detector.detect([photo])[0].boxes, detector.box_adjustment)[0]
    return photo, LandmarkPredictor().predict(photo, box)


def test_a_darker_smaller_copy_is_the_same_person_and_a_face_upside_down_is_not(
    astronaut: tuple[np.ndarray, np.ndarray],
) -> None:
    photo, landmarks = astronaut
    describer = FaceDescriber()
    here = describer.describe(photo, landmarks)
    cosine, distance = likeness(here, describer.describe((photo[::2, ::2] * 0.7).astype(np.uint8), landmarks / 2))
    assert cosine > 0.95
    assert distance < SAME_PERSON / 2
    _, other = likeness(here, describer.describe(photo[::-1].copy(), landmarks))
    assert other > SAME_PERSON


def test_a_descriptor_is_wholly_like_itself() -> None:
    vector = np.random.default_rng(0).normal(size=128)
    assert likeness(vector, vector) == (pytest.approx(1.0), 0.0)
