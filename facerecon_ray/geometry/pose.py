"""Head pose: the one place that says what yaw, pitch and roll mean, and the camera that sees the head.

Model frame     metres, x to the subject's left, y up, the face looks along +z.
Image frame     pixels, x right, y down, z towards the camera in the same unit as x and y.
Yaw > 0         the face turns to the image's right.
Pitch > 0       chin up.
Roll > 0        clockwise in the image.

The head turns by yaw about its own vertical axis, then by pitch, then by roll in the image plane, so roll is always
a rotation of the picture and the angles are unique for |pitch| < 90, at any yaw.
"""

from dataclasses import dataclass, field, replace

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


def sight_rotation(ray: Tensor) -> Tensor:
    """The smallest rotations that turn the optical axis onto lines of sight, in the model frame's axes.

    A face beside the optical axis is seen from another side than the camera looks: with angles 0 it looks at the
    camera, not along the axis.

    Parameters
    ----------
    ray : (..., 2) x and y of the place in the picture, from where the optical axis meets it, over the focal length

    Returns
    -------
    (..., 3, 3) rotation matrices
    """
    # From the face to the camera: (-x, -y, 1) in the image frame. Rodrigues' formula about the normal of both.
    towards = torch.cat([-ray, torch.ones_like(ray[..., :1])], -1) * ray.new_tensor(MODEL_TO_IMAGE_AXES)
    x, y, z = torch.nn.functional.normalize(towards, dim=-1).unbind(-1)
    share = 1.0 / (1.0 + z)
    rows = [
        torch.stack([1.0 - x * x * share, -x * y * share, x], -1),
        torch.stack([-x * y * share, 1.0 - y * y * share, y], -1),
        torch.stack([-x, -y, z], -1),
    ]
    return torch.stack(rows, -2)


@dataclass(frozen=True)
class Camera:
    """A batch of pinhole cameras with one face each; without nearness and ray, scaled orthographic ones.

    With X a turned point in image axes, metres, z towards the camera, it is seen at

        xy = translation + scale (X_xy + ray X_z) / (1 - nearness X_z)

    exactly as a pinhole at the distance 1 / nearness sees it. Depth stays linear: z = scale X_z.

    angles       (B, 3) yaw, pitch, roll in degrees, to the line of sight: 0 is a face that looks at the camera
    scale        (B,) pixels per metre at the distance of the model's origin
    translation  (B, 2) image position of the model's origin, pixels
    nearness     (B,) one over the distance of the model's origin from the camera along the optical axis, 1/metre;
                 0 unless given
    ray          (B, 2) x and y of the model's origin in the picture, from the optical axis, over the focal length;
                 0 unless given
    """

    angles: Tensor
    scale: Tensor
    translation: Tensor
    nearness: Tensor = field(default_factory=lambda: torch.zeros(0))
    ray: Tensor = field(default_factory=lambda: torch.zeros(0, 2))

    def __post_init__(self) -> None:
        if len(self.nearness) == 0:
            object.__setattr__(self, "nearness", torch.zeros_like(self.scale))
        if len(self.ray) == 0:
            object.__setattr__(self, "ray", torch.zeros_like(self.translation))

    @property
    def rotation(self) -> Tensor:
        """(B, 3, 3) from the model frame to the camera's, whose z axis is the optical axis, towards the camera."""
        return sight_rotation(self.ray) @ rotation_from_angles(self.angles)

    def project(self, points: Tensor) -> Tensor:
        """Model frame to image frame.

        Parameters
        ----------
        points : (B, N, 3) metres

        Returns
        -------
        (B, N, 3) pixels; z is 0 at the depth of the model's origin
        """
        turned = points @ self.rotation.mT * points.new_tensor(MODEL_TO_IMAGE_AXES)
        depth = turned[..., 2:]
        place = (turned[..., :2] + self.ray[:, None] * depth) / (1.0 - self.nearness[:, None, None] * depth)
        return torch.cat([place, depth], -1) * self.scale[:, None, None] + self._offset()

    def unproject(self, points: Tensor) -> Tensor:
        """Image frame back to model frame; the inverse of `project`.

        Parameters
        ----------
        points : (B, N, 3) pixels

        Returns
        -------
        (B, N, 3) metres
        """
        seen = (points - self._offset()) / self.scale[:, None, None]
        depth = seen[..., 2:]
        place = seen[..., :2] * (1.0 - self.nearness[:, None, None] * depth) - self.ray[:, None] * depth
        return (torch.cat([place, depth], -1) * points.new_tensor(MODEL_TO_IMAGE_AXES)) @ self.rotation

    @staticmethod
    def from_row(pose: Tensor, camera: Tensor) -> "Camera":
        """Cameras from poses (B, 3) and the rest of them (B, 6) as `row` gives it, both of the same picture.

        Training pairs are crops that are not turned; for other crops see `geometry.crop_camera`.
        """
        return Camera(pose, camera[:, 0], camera[:, 1:3], camera[:, 3], camera[:, 4:])

    @property
    def row(self) -> Tensor:
        """(B, 6) all but the angles: scale, x, y, nearness, ray's x and y."""
        return torch.cat([self.scale[:, None], self.translation, self.nearness[:, None], self.ray], 1)

    def part(self, rows: slice) -> "Camera":
        """Those of some faces."""
        return Camera.from_row(self.angles[rows], self.row[rows])

    def with_angles(self, angles: Tensor) -> "Camera":
        """Give the same cameras other angles: the head turns about the model's origin."""
        return replace(self, angles=angles)

    def moved_to(self, translation: Tensor) -> "Camera":
        """The same views in pictures that are moved so that the origin of the model lies elsewhere, (B, 2) pixels."""
        return replace(self, translation=translation)

    def in_picture(self, scale: Tensor | float, shift: Tensor | float = 0.0) -> "Camera":
        """The same views in pictures that are scaled by a factor, (B,) or one, and then moved by (B, 2) pixels."""
        factor = torch.as_tensor(scale, dtype=self.scale.dtype, device=self.scale.device).expand(len(self.scale))
        return replace(self, scale=self.scale * factor, translation=self.translation * factor[:, None] + shift)

    def _offset(self) -> Tensor:
        return torch.nn.functional.pad(self.translation, (0, 1))[:, None, :]
