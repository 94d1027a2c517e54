"""Move a known head by small turns, growth and shifts until a picture shows it where it is: Gauss-Newton, six numbers.

The step is (three angles about the camera's axes, logarithm of the scale, two shifts in face sizes), so that all six
are of the same order.
"""

from dataclasses import dataclass

import numpy as np
import torch

from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation, rotation_from_angles

UNKNOWNS = 6
DAMPING = 1e-4
LARGEST_STEP = 0.2


@dataclass(frozen=True)
class RigidState:
    """A scaled orthographic camera; points of the head are (N, 3) metres.

    rotation     (3, 3)
    scale        pixels a metre
    translation  (2,) pixels
    """

    rotation: np.ndarray
    scale: float
    translation: np.ndarray

    @staticmethod
    def of(angles: np.ndarray, scale: float, translation: np.ndarray) -> "RigidState":
        """State at angles (3,) in degrees."""
        return RigidState(rotation_from_angles(torch.as_tensor(angles).double()).numpy(), scale, translation)

    @property
    def angles(self) -> np.ndarray:
        """(3,) yaw, pitch, roll in degrees."""
        angles: np.ndarray = angles_from_rotation(torch.from_numpy(self.rotation)).numpy()
        return angles

    @property
    def camera(self) -> Camera:
        """The same as a batch of one camera."""
        return Camera(
            torch.from_numpy(self.angles)[None].float(),
            torch.tensor([self.scale], dtype=torch.float32),
            torch.from_numpy(self.translation)[None].float(),
        )

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) pixels."""
        seen: np.ndarray = (points @ self.rotation.T * MODEL_TO_IMAGE_AXES)[:, :2] * self.scale + self.translation
        return seen

    def derivatives(self, points: np.ndarray, unit: float) -> np.ndarray:
        """(N, 2, 6) how the projections move with the step; one shift is `unit` pixels."""
        x, y, z = (points @ self.rotation.T * self.scale).T
        zero = np.zeros_like(x)
        across = np.stack([zero, z, -y, x, np.full_like(x, unit), zero], 1)
        down = np.stack([z, zero, -x, -y, zero, np.full_like(x, unit)], 1)
        return np.stack([across, down], 1)

    def moved(self, step: np.ndarray, unit: float) -> "RigidState":
        """The state after a step (6,), which is shortened where it is long."""
        length = np.abs(step).max()
        step = step * min(1.0, LARGEST_STEP / max(length, 1e-12))
        x, y, z = step[:3]
        skew = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)
        turn = torch.linalg.matrix_exp(skew).numpy()
        scale = self.scale * float(np.exp(step[3]))
        return RigidState(turn @ self.rotation, scale, self.translation + step[4:] * unit)


def solve_step(normal: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """(K,) the step for a normal matrix (K, K) and a gradient (K,), slightly damped."""
    step: np.ndarray = np.linalg.solve(normal + np.diag(normal.diagonal() * DAMPING + 1e-9), gradient)
    return step


@dataclass(frozen=True)
class LandmarkTerm:
    """Landmarks that were found in the picture pull their points of the head there.

    points     (L, 3) metres
    places     (L, 2) pixels
    deviation  expected error of a place, pixels
    """

    points: np.ndarray
    places: np.ndarray
    deviation: float

    def normal_equations(self, state: RigidState, unit: float) -> tuple[np.ndarray, np.ndarray]:
        """(6, 6) and (6,); far-off landmarks count less (Huber)."""
        residual = self.places - state.project(self.points)
        distance = np.linalg.norm(residual, axis=1) / self.deviation
        weight = 1.0 / np.maximum(distance / 1.5, 1.0) / self.deviation**2
        jacobian = state.derivatives(self.points, unit)
        return (
            np.einsum("n,nci,ncj->ij", weight, jacobian, jacobian),
            np.einsum("n,nci,nc->i", weight, jacobian, residual),
        )

    def misfit(self, state: RigidState) -> float:
        """Mean distance in pixels."""
        return float(np.linalg.norm(self.places - state.project(self.points), axis=1).mean())
