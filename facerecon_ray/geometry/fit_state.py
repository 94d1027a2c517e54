"""A fit on its way: poses, distances and coefficients of faces, and how their points move in the picture with each."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from facerecon_ray.geometry.lens import FARTHEST, NEAREST, Lens
from facerecon_ray.geometry.pose import (
    MODEL_TO_IMAGE_AXES,
    Camera,
    angles_from_rotation,
    rotation_from_angles,
    sight_rotation,
)

SCALE, DISTANCE = 3, 6
"""Places among the unknowns: rotation, scale, place; the distance with a lens; the coefficients."""

POSE = 6
"""Unknowns of rotation, scale and place."""

MOST_GROWTH = 0.5
"""Largest change of the logarithms of scale and distance in one step."""


@dataclass(frozen=True)
class FitState:
    """B faces.

    rotation      (B, 3, 3) the whole one, of `Camera.rotation`
    scale         (B,) pixels per metre
    translation   (B, 2) pixels
    log_distance  (B,) of metres; None where faces are fitted as from far away
    ray           (B, 2) as `Camera` has it, known
    coefficients  (B, K) shape and expression, standard deviations
    """

    rotation: Tensor
    scale: Tensor
    translation: Tensor
    log_distance: Tensor | None
    ray: Tensor
    coefficients: Tensor

    @staticmethod
    def of(camera: Camera, coefficients: Tensor, lens: Lens | None) -> "FitState":
        """Faces under cameras; the line of sight is the lens's, and so is the distance where cameras have none."""
        ray, log_distance = torch.zeros_like(camera.translation), None
        if lens is not None:
            told = torch.where(camera.nearness > 0, camera.nearness.reciprocal(), lens.usual_distance(camera.scale))
            ray, log_distance = lens.ray, told.clamp(NEAREST, FARTHEST).log()
        rotation = sight_rotation(ray) @ rotation_from_angles(camera.angles)
        return FitState(rotation, camera.scale, camera.translation, log_distance, ray, coefficients)

    @property
    def unknowns(self) -> int:
        """Their number, those of the coefficients last."""
        return self.first_coefficient + self.coefficients.shape[1]

    @property
    def first_coefficient(self) -> int:
        """Place of the coefficients among the unknowns."""
        return POSE if self.log_distance is None else POSE + 1

    @property
    def nearness(self) -> Tensor:
        """(B,) as `Camera` has it."""
        return torch.zeros_like(self.scale) if self.log_distance is None else (-self.log_distance).exp()

    @property
    def camera(self) -> Camera:
        """The cameras."""
        angles = angles_from_rotation(sight_rotation(self.ray).mT @ self.rotation)
        return Camera(angles, self.scale, self.translation, self.nearness, self.ray)

    def updated(self, update: Tensor, size: Tensor) -> "FitState":
        """The state after a step of the unknowns (B, U), or of the pose alone (B, 6), place in box sizes (B,)."""
        rotation = torch.linalg.matrix_exp(_skew(update[:, :SCALE])) @ self.rotation
        scale = self.scale * update[:, SCALE].clamp(-MOST_GROWTH, MOST_GROWTH).exp()
        translation = self.translation + update[:, SCALE + 1 : POSE] * size[:, None]
        log_distance, coefficients = self.log_distance, self.coefficients
        if update.shape[1] > POSE:
            coefficients = coefficients + update[:, self.first_coefficient :]
            if log_distance is not None:
                moved = log_distance + update[:, DISTANCE].clamp(-MOST_GROWTH, MOST_GROWTH)
                log_distance = moved.clamp(math.log(NEAREST), math.log(FARTHEST))
        return FitState(rotation, scale, translation, log_distance, self.ray, coefficients)


@dataclass(frozen=True)
class FitView:
    """Points of the model as a state sees them, and how they move in the picture with each unknown.

    turned    (B, P, 3) metres, model axes
    offset    (B, P, 2) from the origin's place, pixels
    larger    (B, P, 1) how much larger than at the origin things are seen at a point
    """

    state: FitState
    turned: Tensor
    offset: Tensor
    larger: Tensor

    @staticmethod
    def of(state: FitState, points: Tensor) -> "FitView":
        """What a state makes of points (B, P, 3), metres."""
        turned = points @ state.rotation.mT
        depth = turned[..., 2:]
        larger = 1.0 / (1.0 - state.nearness[:, None, None] * depth)
        flat = turned[..., :2] * turned.new_tensor(MODEL_TO_IMAGE_AXES[:2]) + state.ray[:, None] * depth
        return FitView(state, turned, flat * larger * state.scale[:, None, None], larger)

    @property
    def places(self) -> Tensor:
        """(B, P, 2) pixels."""
        return self.offset + self.state.translation[:, None]

    @property
    def _by_turned(self) -> Tensor:
        """(B, P, 2, 3) pixels a metre by which a turned point moves, model axes."""
        state = self.state
        flat = torch.diag(self.turned.new_tensor(MODEL_TO_IMAGE_AXES))[:2].expand(*self.turned.shape[:2], 2, 3).clone()
        nearer = state.nearness[:, None, None] * self.offset / state.scale[:, None, None]
        flat[..., 2] = state.ray[:, None] + nearer
        return flat * (state.scale[:, None, None] * self.larger)[..., None]

    @property
    def by_point(self) -> Tensor:
        """(B, P, 2, 3) pixels a metre by which a point of the model moves, model frame."""
        return self._by_turned @ self.state.rotation[:, None]

    def by_pose(self, size: Tensor) -> Tensor:
        """(B, P, 2, 6) with rotation in radians, the logarithm of the scale, and the place in box sizes (B,)."""
        unit = torch.eye(2, device=size.device).expand(*self.offset.shape, 2) * size[:, None, None, None]
        return torch.cat([self._by_turned @ -_skew(self.turned), self.offset[..., None], unit], -1)

    @property
    def by_log_distance(self) -> Tensor:
        """(B, P, 2)."""
        return -self.offset * self.larger * self.state.nearness[:, None, None] * self.turned[..., 2:]


def _skew(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack([zero, -z, y], -1), torch.stack([z, zero, -x], -1), torch.stack([-y, x, zero], -1)]
    return torch.stack(rows, -2)
