"""What is known of a photo whose head is known: its crop, position map, pose and landmarks, as networks learn them."""

from typing import ClassVar

import numpy as np
import torch

from facerecon_ray.config.synthesis import PairSettings
from facerecon_ray.geometry.crop_transform import CROP_SIZE, apply_transform, crop_transform, cut_crop
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.geometry.landmarks import landmarks_in_picture
from facerecon_ray.geometry.model_projection import ModelProjector
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor
from facerecon_ray.stages.stage import Batch, Column, Stage

DETECTOR_BOX_SIZE, DETECTOR_BOX_CENTRE = 0.157, (0.0, 0.0093, 0.0332)
"""Where dlib's HOG detector puts its boxes on rendered heads within 45 degrees of yaw: their size, and their middle in
the model's frame, metres."""

DETECTOR_BOX_GROWTH, DETECTOR_BOX_SHIFT = 0.09, (0.005, 0.007)
"""Standard deviations there: of the size, as a share of it, and of the place, metres."""


class PairTruth(Stage):
    """Crop a photo by the true landmarks of its head and say what is true in the crop.

    Input columns    photo     (H, W, 3) uint8
                     points    (N, 3) the face model's vertices on the true head in the image frame, photo pixels, with
                               the picture's perspective
                     surface   (N, 3) the same vertices in any right-handed frame and unit, without perspective
                     noise_seed   (2,) what the errors of landmarks and boxes are drawn from
    Output columns   crop, crop_transform, photo_width, photo_height (pixels)
                     focal_length   0: as that of most photos, it is not known
                     pose      (3,) yaw, pitch, roll in degrees of the scaled orthographic camera that comes closest
                     camera    (6,) `Camera.row`: its scale in crop pixels a metre, x and y of the model's origin in
                               crop pixels, and zeros
                     shape, expression   coefficients of the face model that come closest to the head
                     landmarks_3d     (68, 3) image frame, crop pixels
                     dense_landmarks  (D, 2) the face model's, crop pixels
                     landmarks        (68, 2) what the fit stage is given, photo pixels
                     position_map     (256, 256, 3) crop pixels / 256 with depth 0, that of the origin, stored as 0.5
    """

    name: ClassVar[str] = "truth"
    drops: ClassVar[tuple[str, ...]] = ("photo", "surface", "noise_seed")

    def __init__(self, settings: PairSettings, model: FaceModel) -> None:
        self._settings = settings
        self._model = model
        self._layout = UvLayout.of(self._model)
        self._project = ModelProjector(self._model)
        self._noise = torch.linalg.cholesky(self._model.landmark_noise).numpy()
        self._predictor = LandmarkPredictor(settings.landmark_model) if settings.landmarks == "predicted" else None
        self.outputs = {
            "crop": Column(np.uint8, (CROP_SIZE, CROP_SIZE, 3)),
            "crop_transform": Column(np.float32, (2, 3)),
            "photo_width": Column(np.int32),
            "photo_height": Column(np.int32),
            "focal_length": Column(np.float32),
            "pose": Column(np.float32, (3,)),
            "camera": Column(np.float32, (6,)),
            "shape": Column(np.float32, (self._model.shape_size,)),
            "expression": Column(np.float32, (self._model.expression_size,)),
            "landmarks_3d": Column(np.float32, (LANDMARKS, 3)),
            "dense_landmarks": Column(np.float32, (len(self._model.dense_landmarks), 2)),
            "landmarks": Column(np.float32, (LANDMARKS, 2)),
            "position_map": Column(np.float16, (MAP_SIZE, MAP_SIZE, 3)),
        }

    def process(self, batch: Batch) -> Batch:
        """Crop photos and work out their truth."""
        heads = self._project(batch["surface"])
        points = batch["points"].astype(np.float32)
        photo_camera, depth = self._project.camera(heads.vertices, points)
        points[..., 2] -= depth[:, None]
        marked = landmarks_in_picture(self._model, torch.from_numpy(points), photo_camera.angles[:, 2]).numpy()
        transform = crop_transform(marked[..., :2])
        scale = torch.from_numpy(transform[:, 0, 0])
        in_crop = _to_crop(points, transform)
        return {
            "crop": np.stack([cut_crop(photo, t) for photo, t in zip(batch["photo"], transform, strict=True)]),
            "crop_transform": transform,
            "photo_width": np.array([photo.shape[1] for photo in batch["photo"]], np.int32),
            "photo_height": np.array([photo.shape[0] for photo in batch["photo"]], np.int32),
            "focal_length": np.zeros(len(batch["photo"]), np.float32),
            "pose": photo_camera.angles.numpy(),
            "camera": photo_camera.in_picture(scale, torch.from_numpy(transform[..., 2]).float()).row.numpy(),
            "shape": heads.shape,
            "expression": heads.expression,
            "landmarks_3d": _to_crop(marked, transform),
            "dense_landmarks": in_crop[:, self._model.dense_landmarks.numpy(), :2].astype(np.float32),
            "landmarks": self._seen_landmarks(batch, marked, photo_camera),
            "position_map": self._layout.position_map(torch.from_numpy(in_crop.astype(np.float32))).numpy(),
        }

    def _seen_landmarks(self, batch: Batch, truth: np.ndarray, camera: Camera) -> np.ndarray:
        """(B, 68, 2) what the fit stage gets."""
        seen = truth[..., :2].copy()
        if self._settings.landmarks == "exact":
            return seen
        centre = camera.project(torch.tensor(DETECTOR_BOX_CENTRE).expand(len(seen), 1, 3))[:, 0, :2].numpy()
        size = box_size(torch.from_numpy(seen)).numpy()
        for row, seed in enumerate(batch["noise_seed"]):
            rng = np.random.default_rng(seed)
            errors = (self._noise @ rng.standard_normal(2 * LANDMARKS)).reshape(LANDMARKS, 2)
            scale = float(camera.scale[row])
            half = (
                0.5 * DETECTOR_BOX_SIZE * scale * (1.0 + DETECTOR_BOX_GROWTH * np.clip(rng.standard_normal(), -2, 2))
            )
            middle = centre[row] + np.multiply(DETECTOR_BOX_SHIFT, scale) * rng.standard_normal(2)
            if self._predictor is not None and abs(camera.angles[row, 0]) <= self._settings.predicted_yaw:
                box = np.concatenate([middle - half, middle + half])
                seen[row] = self._predictor.predict(batch["photo"][row], box)
            else:
                seen[row] += errors * size[row]
        return seen


def _to_crop(points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """(B, N, 3) points of the image frame from photo pixels to crop pixels; depth grows with the picture."""
    depth = points[..., 2:] * transform[:, :1, :1]
    return np.concatenate([apply_transform(transform, points[..., :2]), depth], -1)
