"""Head pose: the one place that says what yaw, pitch and roll mean, and the scaled orthographic camera.

Model frame     metres, x to the subject's left, y up, the face looks along +z.
Image frame     pixels, x right, y down, z towards the camera in the same unit as x and y.
Yaw > 0         the face turns to the image's right.
Pitch > 0       chin up.
Roll > 0        clockwise in the image.

The head turns by yaw about its own vertical axis, then by pitch, then by roll in the image plane, so roll is always
a rotation of the picture and the angles are unique for |pitch| < 90, at any yaw.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

MODEL_TO_IMAGE_AXES = (1.0, -1.0, 1.0)


def rotation_from_angles(angles: Tensor) -> Tensor:
    """Turn angles into rotation matrices of the model frame, R = Rroll Rpitch Ryaw.

    Parameters
    ----------
    angles : (..., 3) yaw, pitch, roll in degrees

    Returns
    -------
    (..., 3, 3) rotation matrices
    """
    yaw, pitch, roll = torch.deg2rad(angles).unbind(-1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    r_yaw = matrix((yaw.cos(), zero, yaw.sin()), (zero, one, zero), (-yaw.sin(), zero, yaw.cos()))
    r_pitch = matrix((one, zero, zero), (zero, pitch.cos(), pitch.sin()), (zero, -pitch.sin(), pitch.cos()))
    r_roll = matrix((roll.cos(), roll.sin(), zero), (-roll.sin(), roll.cos(), zero), (zero, zero, one))
    return r_roll @ r_pitch @ r_yaw


def angles_from_rotation(rotation: Tensor) -> Tensor:
    """Inverse of `rotation_from_angles`.

    Parameters
    ----------
    rotation : (..., 3, 3) rotation matrices

    Returns
    -------
    (..., 3) yaw, pitch, roll in degrees; yaw and roll in [-180, 180], pitch in [-90, 90]
    """
    pitch = torch.asin((-rotation[..., 2, 1]).clamp(-1.0, 1.0))
    yaw = torch.atan2(-rotation[..., 2, 0], rotation[..., 2, 2])
    roll = torch.atan2(rotation[..., 0, 1], rotation[..., 1, 1])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], -1))


@dataclass(frozen=True)
class Camera:
    """Scaled orthographic cameras: a batch of poses with a scale and a translation.

    angles       (B, 3) yaw, pitch, roll in degrees
    scale        (B,) pixels per metre
    translation  (B, 2) image position of the model's origin, pixels
    """

    angles: Tensor
    scale: Tensor
    translation: Tensor

    def project(self, points: Tensor) -> Tensor:
        """Model frame to image frame.

        Parameters
        ----------
        points : (B, N, 3) metres

        Returns
        -------
        (B, N, 3) pixels; z is 0 at the depth of the model's origin
        """
        axes = points.new_tensor(MODEL_TO_IMAGE_AXES)
        turned = points @ rotation_from_angles(self.angles).mT
        return turned * axes * self.scale[:, None, None] + self._offset()

    def unproject(self, points: Tensor) -> Tensor:
        """Image frame back to model frame; the inverse of `project`.

        Parameters
        ----------
        points : (B, N, 3) pixels

        Returns
        -------
        (B, N, 3) metres
        """
        axes = points.new_tensor(MODEL_TO_IMAGE_AXES)
        turned = (points - self._offset()) / self.scale[:, None, None] * axes
        return turned @ rotation_from_angles(self.angles)

    @staticmethod
    def from_row(pose: Tensor, camera: Tensor) -> "Camera":
        """Cameras from poses (B, 3), and (B, 3) scale, x and y of the model's origin, both of the same picture.

        Training pairs are crops that are not turned; for other crops see `geometry.crop_camera`.
        """
        return Camera(pose, camera[:, 0], camera[:, 1:])

    def with_angles(self, angles: Tensor) -> "Camera":
        """Give the same cameras other angles: the head turns about the model's origin."""
        return Camera(angles, self.scale, self.translation)

    def _offset(self) -> Tensor:
        return torch.nn.functional.pad(self.translation, (0, 1))[:, None, :]
