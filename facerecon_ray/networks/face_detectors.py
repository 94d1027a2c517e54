"""Face detectors behind one interface: photos in, boxes, scores and rolls out."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import dlib
import numpy as np

from facerecon_ray.config.assets import DETECTOR_WEIGHTS
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_cascade import FaceCascade
from facerecon_ray.networks.face_proposer import load_weights
from facerecon_ray.networks.mmod import MIN_SIDE, Detections, MmodDetector

MMOD_MODEL = "mmod_human_face_detector.dat"
GPU_BATCH = 16
MAX_ENLARGEMENT = 2.0
HOG_UPSAMPLING = 1

LEAST_FACE, MOST_FACES_ALONG = 24.0, 100.0
"""Smallest faces that are looked for where the settings do not say: pixels; and parts of a photo's longer side."""

ENOUGH_PIXELS = 32.0
"""Of the smallest wanted faces' sides so many pixels are decoded."""

# Medians over 284 faces that both detectors find: HOG box minus mmod box, in widths of the mmod box.
MMOD_TO_HOG = (0.055, 0.065, 1.085)
UNCHANGED = (0.0, 0.0, 1.0)


class Detector(Protocol):
    """Finds faces.

    box_adjustment   shift right, shift down (in box widths) and growth that turn the detector's boxes into those that
                     dlib's landmark predictor was trained on, which are the HOG detector's
    photos_at_once   that it works on together; more are no faster
    """

    box_adjustment: tuple[float, float, float]
    photos_at_once: int

    def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        """Find the faces in each of photos (H, W, 3) uint8 RGB, which need not have one size."""


class Cascade:
    """A proposer of places and dlib's CNN detector on each, in torch: faces of any size and roll."""

    box_adjustment = MMOD_TO_HOG
    photos_at_once = 1

    def __init__(self, settings: CropSettings) -> None:
        self._settings = settings
        device = resolve_device(settings.device)
        judge = MmodDetector.from_dlib(installed_model(MMOD_MODEL))
        self._cascade = FaceCascade(load_weights(DETECTOR_WEIGHTS), judge, device)

    def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        """Find faces from the size on that the settings want."""
        settings = self._settings
        return [
            self._cascade.detect(photo, smallest_face_in(max(photo.shape[:2]), settings), settings.min_score)
            for photo in photos
        ]


class TorchMmod:
    """dlib's CNN detector in torch. On a GPU photos of one size share a batch; on a CPU one at a time is faster."""

    box_adjustment = MMOD_TO_HOG

    def __init__(self, settings: CropSettings) -> None:
        self._side, self._min_score = settings.detection_side, settings.min_score
        device = resolve_device(settings.device)
        self._network = MmodDetector.from_dlib(installed_model(MMOD_MODEL)).to(device)
        self.photos_at_once = GPU_BATCH if device.type == "cuda" else 1

    def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        """Find faces of at least 80 pixels in the photos, scaled to the detection side."""
        scaled = [scale_for_detection(photo, self._side) for photo in photos]
        by_size: dict[tuple[int, ...], list[int]] = {}
        for index, photo in enumerate(scaled):
            by_size.setdefault(photo.shape, []).append(index)
        found: dict[int, Detections] = {}
        for same_size in by_size.values():
            for start in range(0, len(same_size), self.photos_at_once):
                chunk = same_size[start : start + self.photos_at_once]
                faces = self._network.detect(np.stack([scaled[index] for index in chunk]), self._min_score)
                found.update(zip(chunk, faces, strict=True))
        return [_unscale(found[index], scaled[index], photo) for index, photo in enumerate(photos)]


class DlibMmod:
    """dlib's CNN detector as dlib runs it: the reference, 15 to 25 times slower on a CPU."""

    box_adjustment = MMOD_TO_HOG
    photos_at_once = 1

    def __init__(self, settings: CropSettings) -> None:
        self._side, self._min_score = settings.detection_side, settings.min_score
        self._model = dlib.cnn_face_detection_model_v1(str(installed_model(MMOD_MODEL)))

    def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        """Find faces of at least 80 pixels in the photos, scaled to the detection side."""
        return [self._detect_one(photo) for photo in photos]

    def _detect_one(self, photo: np.ndarray) -> Detections:
        scaled = scale_for_detection(photo, self._side)
        if min(scaled.shape[:2]) < MIN_SIDE:
            return _detections([], [], self._min_score)
        found = self._model(scaled, 0)
        faces = _detections([face.rect for face in found], [face.confidence for face in found], self._min_score)
        return _unscale(faces, scaled, photo)


class DlibHog:
    """dlib's HOG detector: near-frontal faces of at least 40 pixels at the detection side."""

    box_adjustment = UNCHANGED
    photos_at_once = 1

    def __init__(self, settings: CropSettings) -> None:
        self._side, self._min_score = settings.detection_side, settings.min_score
        self._model = dlib.get_frontal_face_detector()

    def detect(self, photos: Sequence[np.ndarray]) -> list[Detections]:
        """Find near-frontal faces in the photos, scaled to the detection side."""
        return [self._detect_one(photo) for photo in photos]

    def _detect_one(self, photo: np.ndarray) -> Detections:
        scaled = scale_for_detection(photo, self._side)
        rectangles, scores, _ = self._model.run(scaled, HOG_UPSAMPLING, self._min_score)
        return _unscale(_detections(rectangles, scores, self._min_score), scaled, photo)


DETECTORS: dict[str, type[Cascade] | type[TorchMmod] | type[DlibMmod] | type[DlibHog]] = {
    "cascade": Cascade,
    "mmod": TorchMmod,
    "dlib-mmod": DlibMmod,
    "dlib-hog": DlibHog,
}


def build_detector(settings: CropSettings) -> Detector:
    """Load the detector that the settings name, onto their device."""
    return DETECTORS[settings.detector](settings)


def smallest_face_in(longest: int, settings: CropSettings) -> float:
    """Side of the smallest faces that are wanted in a decoded photo, pixels of that photo.

    Parameters
    ----------
    longest : longer side of the decoded photo, pixels; see `side_to_decode`
    """
    if settings.smallest_face is None:
        return max(LEAST_FACE, longest / MOST_FACES_ALONG)
    return min(settings.smallest_face, ENOUGH_PIXELS)


def side_to_decode(longest: int, settings: CropSettings) -> float:
    """Longer side with which a photo is decoded: the smallest wanted faces keep up to 32 pixels of their side.

    Parameters
    ----------
    longest : longer side of the original, pixels
    """
    wanted = settings.smallest_face or max(LEAST_FACE, longest / MOST_FACES_ALONG)
    return longest * min(1.0, ENOUGH_PIXELS / wanted)


def scale_for_detection(photo: np.ndarray, side: int) -> np.ndarray:
    """Scale a photo so that its longer side has `side` pixels; a small photo is enlarged, at most twice.

    Enlarging lets a face be found by its share of the photo, an eighth at 640, however few pixels the photo has.

    Parameters
    ----------
    photo : (H, W, 3) uint8
    side : pixels
    """
    height, width = photo.shape[:2]
    scale = min(side / max(height, width), MAX_ENLARGEMENT)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return np.ascontiguousarray(photo)
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _unscale(faces: Detections, scaled: np.ndarray, photo: np.ndarray) -> Detections:
    """Boxes in the pixels of the photo instead of those of the scaled photo."""
    x, y = photo.shape[1] / scaled.shape[1], photo.shape[0] / scaled.shape[0]
    return Detections(faces.boxes * np.array([x, y, x, y], np.float32), faces.scores, faces.rolls)


def _detections(rectangles: Sequence[dlib.rectangle], scores: Sequence[float], min_score: float) -> Detections:
    """dlib's rectangles, which include their last row and column, as boxes."""
    boxes = np.array([(r.left(), r.top(), r.right() + 1, r.bottom() + 1) for r in rectangles], np.float32)
    values = np.array(scores, np.float32)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > min_score]
    return Detections.upright(boxes.reshape(-1, 4)[order], values[order])
