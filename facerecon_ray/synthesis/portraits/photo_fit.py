"""Fit the face model to the largest face of a photo, closely enough to take its texture or to turn it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from facerecon_ray.config.photos import PhotoFitSettings
from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.crop_transform import turn
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter, box_size
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes
from facerecon_ray.storage.photos.photo_file import decode_photo

REACH = 0.10
"""How far a landmark's correction reaches over the face, as a share of the landmarks' box size."""

DISTRUST, CONTOUR_DISTRUST = 0.15, 1.0
"""Variance of a landmark's error relative to that of the corrections: inner landmarks, those of the jaw."""

RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)

PHOTO_SIDE = 1024
"""Pixels of a photo's longer side that are enough: the face fills much of it."""

SHARPNESS_SIDE = 128
"""Pixels to which the landmarks' box is scaled to measure sharpness."""


@dataclass(frozen=True)
class FittedPhoto:
    """A photo with the face model fitted to its largest face.

    pixels       (H, W, 3) uint8 RGB; a photo that lies on its side or its head is turned by quarters
    vertices     (N, 3) image frame, photo pixels: the fit, moved in the picture so that it meets the landmarks
    fitted       (N, 3) metres, the fit in the model frame
    camera       one camera, photo pixels
    shape, expression   (S,), (E,) standard deviations
    landmarks    (68, 2) photo pixels, as found
    fit_error    mean distance of the fit's landmarks to the found ones, share of their box size
    """

    pixels: np.ndarray
    vertices: Tensor
    fitted: Tensor
    camera: Camera
    shape: Tensor
    expression: Tensor
    landmarks: np.ndarray
    fit_error: float


class PhotoFitter:
    """Finds and fits the largest face of a photo, and says why a photo is of no use.

    Parameters
    ----------
    settings : what a usable photo is
    model : the face model that is fitted
    """

    def __init__(self, settings: PhotoFitSettings, model: FaceModel) -> None:
        self._settings, self._model = settings, model
        self._read = ReadSettings(max_side=PHOTO_SIDE)
        self._detector = build_detector(CropSettings(device="cpu"))
        self._landmarks = LandmarkPredictor()
        self._fit = LandmarkFitter(model)

    def __call__(self, data: bytes) -> FittedPhoto:
        """Fit one photo, given as the contents of its file.

        Raises
        ------
        PhotoError
            when the photo cannot be read, shows no face, or its largest face is turned, blurred, small or badly fitted
        """
        pixels = decode_photo(data, self._read).pixels
        faces = self._detector.detect([pixels])[0]
        if len(faces.boxes) == 0:
            raise PhotoError("no face was found")
        largest = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(1).argmax()
        roll = float(faces.rolls[largest])
        box = adjust_boxes(faces.boxes[largest], self._detector.box_adjustment, roll)
        pixels, landmarks = turned_by_quarters(pixels, self._landmarks.predict(pixels, box, roll), round(roll / 90))
        self._require_detail(pixels, landmarks)
        found = torch.from_numpy(landmarks.astype(np.float32))[None]
        fit = self._fit(found)
        yaw, pitch, _ = fit.camera.angles[0].tolist()
        if abs(yaw) > self._settings.most_yaw or abs(pitch) > self._settings.most_pitch:
            raise PhotoError(f"the face is not near-frontal (yaw {yaw:.0f}, pitch {pitch:.0f} degrees)")
        error = float(fit.error)
        if error > self._settings.most_fit_error:
            raise PhotoError(f"the face model fits badly (error {error:.1%} of the face)")
        fitted = self._model.vertices(fit.shape, fit.expression)
        vertices = meet_landmarks(fit.camera.project(fitted), fit.projected[..., :2], found)
        return FittedPhoto(
            pixels, vertices[0], fitted[0], fit.camera, fit.shape[0], fit.expression[0], landmarks, error
        )

    def _require_detail(self, pixels: np.ndarray, landmarks: np.ndarray) -> None:
        between_eyes = np.linalg.norm(landmarks[RIGHT_EYE].mean(0) - landmarks[LEFT_EYE].mean(0))
        if between_eyes < self._settings.least_eye_distance:
            raise PhotoError(f"the face is too small ({between_eyes:.0f} pixels between the eyes)")
        found = sharpness(pixels, landmarks)
        if found < self._settings.least_sharpness:
            raise PhotoError(f"the face is blurred (sharpness {found:.3f})")


def turned_by_quarters(pixels: np.ndarray, points: np.ndarray, quarters: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) and points (N, 2) in it, turned counter-clockwise by quarters, without any loss."""
    linear = turn(-90 * quarters).round()
    shift = -np.minimum(linear @ pixels.shape[1::-1], 0)
    return np.ascontiguousarray(np.rot90(pixels, quarters)), points @ linear.T + shift


def sharpness(pixels: np.ndarray, landmarks: np.ndarray) -> float:
    """Standard deviation of the Laplacian over that of the brightness, with the face at a fixed size."""
    low, high = landmarks.min(0), landmarks.max(0)
    x0, y0 = np.floor(low).astype(int).clip(0)
    x1, y1 = np.ceil(high).astype(int)
    face = cv2.cvtColor(np.ascontiguousarray(pixels[y0:y1, x0:x1]), cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = SHARPNESS_SIDE / max(face.shape)
    face = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return float(cv2.Laplacian(face, cv2.CV_32F).std() / max(face.std(), 1.0))


def meet_landmarks(points: Tensor, projected: Tensor, found: Tensor) -> Tensor:
    """Move points in the picture, smoothly, so that the model's landmarks come to lie near the found ones.

    The correction is the posterior mean of a Gaussian process whose values at the projected landmarks were observed
    with noise (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 2.25).

    Parameters
    ----------
    points : (B, N, 3) image frame, pixels
    projected, found : (B, 68, 2) the model's landmarks and the predictor's, pixels

    Returns
    -------
    (B, N, 3)
    """
    reach = REACH * box_size(found)[:, None, None]
    variance = torch.full((LANDMARKS,), DISTRUST, device=points.device)
    variance[:CONTOUR_LANDMARKS] = CONTOUR_DISTRUST
    between = torch.exp(-torch.cdist(projected, projected).square() / (2 * reach**2))
    across = torch.exp(-torch.cdist(points[..., :2], projected).square() / (2 * reach**2))
    shift = across @ torch.linalg.solve(between + torch.diag(variance), found - projected)
    return torch.cat([points[..., :2] + shift, points[..., 2:]], -1)
