"""Poses in photos and cameras in crops: a crop may be turned, and both belong to the same face.

The columns of a face are its pose in the photo, its camera in crop pixels, and the transform between them. Roll turns
the picture after all else (see `geometry.pose`), so a turned crop changes a pose's roll and nothing else of it.
"""

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.crop_transform import CROP_SIZE, apply_transform, roll_of_transform
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.pose import Camera


def crop_camera(pose: Tensor, camera: Tensor, transform: np.ndarray) -> Camera:
    """Cameras in crops.

    Parameters
    ----------
    pose : (B, 3) yaw, pitch, roll in the photo, degrees
    camera : (B, 6) the column camera: `Camera.row` in crop pixels and axes
    transform : (B, 2, 3) photo pixels to crop pixels
    """
    return Camera.from_row(_rolled(pose, -roll_of_transform(transform)), camera)


def crop_lens(focal_length: np.ndarray, width: np.ndarray, height: np.ndarray, transform: np.ndarray) -> Lens:
    """What is known of the cameras of crops, each with a face in its middle.

    Parameters
    ----------
    focal_length : (B,) photo pixels, 0 where it is not known
    width, height : (B,) of the whole photos, whose middle the optical axis meets
    transform : (B, 2, 3) photo pixels to crop pixels
    """
    linear = np.asarray(transform[..., :2], np.float64)
    focal = np.asarray(focal_length) * np.sqrt(np.abs(np.linalg.det(linear)))
    axis = apply_transform(transform, np.stack([width, height], -1)[:, None] / 2)[:, 0]
    ray = (CROP_SIZE / 2 - axis) / np.where(focal > 0, focal, np.inf)[:, None]
    return Lens(torch.from_numpy(focal).float(), torch.from_numpy(ray).float())


def pose_in_photo(angles: Tensor, transform: np.ndarray) -> Tensor:
    """Poses (B, 3) in photos, degrees, of faces that have angles (B, 3) in crops by transforms (B, 2, 3)."""
    return _rolled(angles, roll_of_transform(transform))


def _rolled(angles: Tensor, by: np.ndarray) -> Tensor:
    """Angles (B, 3) with other rolls, within -180 to 180."""
    roll = angles[:, 2] + torch.from_numpy(by).to(angles)
    return torch.cat([angles[:, :2], (roll - 360 * (roll / 360).round())[:, None]], 1)
