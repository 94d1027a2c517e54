"""Compare pictures of one head through its mesh: where the pose is right, a vertex has the same texture in both.

Pictures are reduced to what light leaves alone: brightness less its local mean, over its local contrast. Steps towards
the right pose follow the picture's gradient (Lucas and Kanade, An Iterative Image Registration Technique, 1981).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.synthesis.importers.rigid_fit import RigidState

LOCAL, FINE, COARSE = 0.10, 0.008, 0.03
"""Widths of the Gaussians, in face sizes: of the local mean, and of the detail that is kept, finely and coarsely."""

LEAST_CONTRAST = 4.0
"""Grey levels; smaller local contrast is noise and is not amplified."""

GRAZING, FACING = 0.15, 0.55
"""Cosine between normal and line of sight at which a vertex begins to count, and counts fully."""

DETAIL_DEVIATION = 0.6
"""Differences beyond this count less."""

INDEPENDENT = 150.0
"""How many independent measurements the texture of a face is worth; neighbouring vertices repeat each other."""


@dataclass(frozen=True)
class Detail:
    """A picture's detail at one fineness: values (H, W) and their derivatives along x and y."""

    values: np.ndarray
    slope_x: np.ndarray
    slope_y: np.ndarray

    @staticmethod
    def of(picture: np.ndarray, face_size: float, fineness: float) -> "Detail":
        """Detail of a picture (H, W, 3) uint8 in which the face has a size in pixels."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        fine = cv2.GaussianBlur(grey, (0, 0), max(fineness * face_size, 0.5))
        mean = cv2.GaussianBlur(fine, (0, 0), LOCAL * face_size)
        contrast = np.sqrt(cv2.GaussianBlur((fine - mean) ** 2, (0, 0), LOCAL * face_size))
        values = (fine - mean) / (contrast + LEAST_CONTRAST)
        slope_x, slope_y = (cv2.Sobel(values, cv2.CV_32F, x, 1 - x, ksize=3, scale=1 / 8) for x in (1, 0))
        return Detail(values, slope_x, slope_y)

    def sample(self, places: np.ndarray) -> np.ndarray:
        """(3, N) values and slopes at places (N, 2) in pixels with centres at +0.5."""
        at = (places - 0.5).astype(np.float32)
        layers = cv2.merge([self.values, self.slope_x, self.slope_y])
        sampled: np.ndarray = cv2.remap(layers, at[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return sampled[:, 0].T


@dataclass(frozen=True)
class Surface:
    """The head's points whose texture is compared: (N, 3) metres and their outward normals (N, 3)."""

    points: np.ndarray
    normals: np.ndarray

    def facing(self, state: RigidState, shape: tuple[int, ...]) -> np.ndarray:
        """(N,) how well a camera sees each point, 0 to 1; 0 outside a picture of a shape (H, W)."""
        places = state.project(self.points)
        inside = ((places > 1) & (places < np.array(shape[1::-1]) - 1)).all(1)
        towards = self.normals @ state.rotation[2]
        weight: np.ndarray = np.clip((towards - GRAZING) / (FACING - GRAZING), 0.0, 1.0) * inside
        return weight


@dataclass(frozen=True)
class TextureTerm:
    """The texture that other pictures gave to the surface pulls a picture's head into its pose.

    texture  (N,) detail expected at each point
    trust    (N,) how well it is known, 0 to 1
    """

    surface: Surface
    detail: Detail
    texture: np.ndarray
    trust: np.ndarray

    def normal_equations(self, state: RigidState, unit: float) -> tuple[np.ndarray, np.ndarray]:
        """(6, 6) and (6,)."""
        value, slope_x, slope_y = self.detail.sample(state.project(self.surface.points))
        weight = self.trust * self.surface.facing(state, self.detail.values.shape)
        residual = self.texture - value
        weight = weight / np.maximum(np.abs(residual) / DETAIL_DEVIATION, 1.0)
        weight = weight * (INDEPENDENT / max(weight.sum(), 1e-9) / DETAIL_DEVIATION**2)
        place = state.derivatives(self.surface.points, unit)
        jacobian = slope_x[:, None] * place[:, 0] + slope_y[:, None] * place[:, 1]
        return (jacobian * weight[:, None]).T @ jacobian, jacobian.T @ (weight * residual)

    def agreement(self, state: RigidState) -> float:
        """Correlation of the texture and the picture, -1 to 1; -1 where too little can be compared."""
        value = self.detail.sample(state.project(self.surface.points))[0]
        weight = self.trust * self.surface.facing(state, self.detail.values.shape)
        if weight.sum() < 0.02 * len(weight):
            return -1.0
        weight = weight / weight.sum()
        a, b = value - weight @ value, self.texture - weight @ self.texture
        return float(weight @ (a * b) / np.sqrt((weight @ a**2) * (weight @ b**2) + 1e-12))


def gather_texture(surface: Surface, seen: list[tuple[Detail, RigidState]]) -> tuple[np.ndarray, np.ndarray]:
    """Texture of the surface from pictures with known cameras.

    Returns
    -------
    (N,) mean detail, and (N,) how well the best picture saw each point
    """
    weights = np.stack([surface.facing(state, detail.values.shape) for detail, state in seen])
    values = np.stack([detail.sample(state.project(surface.points))[0] for detail, state in seen])
    return (weights * values).sum(0) / weights.sum(0).clip(1e-6), weights.max(0)
