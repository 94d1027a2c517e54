"""Crops of noise with the landmarks of the mean head; photo pixels are crop pixels times two, moved."""

import numpy as np
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.stages.stage import OK, Batch

PHOTO_SCALE, PHOTO_OFFSET = 0.5, np.array([-20.0, -10.0])


def noise_crops(yaws: list[float]) -> Batch:
    """Columns of the crop stage."""
    model = FaceModel.default()
    count = len(yaws)
    angles = torch.tensor([[yaw, 5.0, 0.0] for yaw in yaws])
    camera = Camera(angles, torch.full((count,), 900.0), torch.full((count, 2), 128.0), torch.full((count,), 1 / 1.2))
    in_crop = projected_landmarks(model, model.mean.expand(count, -1, -1), camera)[..., :2].numpy()
    transform = np.array([[PHOTO_SCALE, 0, PHOTO_OFFSET[0]], [0, PHOTO_SCALE, PHOTO_OFFSET[1]]], np.float32)
    return {
        "status": np.full(count, OK, object),
        "error": np.full(count, "", object),
        "crop": np.random.default_rng(0).integers(0, 256, (count, 256, 256, 3), dtype=np.uint8),
        "crop_transform": np.broadcast_to(transform, (count, 2, 3)),
        "photo_width": np.full(count, 600),
        "photo_height": np.full(count, 600),
        "focal_length": np.zeros(count, np.float32),
        "landmarks": ((in_crop - PHOTO_OFFSET) / PHOTO_SCALE).astype(np.float32),
    }
