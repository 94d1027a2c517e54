"""A face's second view, whether it is made of the first or is another photo: its columns, and its camera as one."""

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.stages.stage import Column


def second_view_outputs() -> dict[str, Column]:
    """The columns of a second view."""
    return {
        "rotated": Column(np.uint8, (CROP_SIZE, CROP_SIZE, 3)),
        "rotated_camera": Column(np.float32, (9,)),
        "rotated_yaw": Column(np.float32),
        "visible_share": Column(np.float32),
    }


def whole_camera(camera: Camera) -> Tensor:
    """(B, 9) cameras of crops: yaw, pitch and roll in the crop, degrees, and `Camera.row`."""
    return torch.cat([camera.angles, camera.row], 1)


def camera_of(column: Tensor) -> Camera:
    """Inverse of `whole_camera`."""
    return Camera.from_row(column[:, :3], column[:, 3:])
