"""A known head in the face model's terms: its coefficients, and the scaled orthographic camera that shows it.

Training data have true surfaces, and cameras with perspective. Networks and fits speak of coefficients and of a scaled
orthographic camera; this is the one definition of what these are for a true head.
"""

from dataclasses import dataclass

import numpy as np
import torch

from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation

SURFACE_NOISE, NOISE_ELSEWHERE = 0.0002, 0.0004
"""Metres by which the model may miss a vertex of the face region, and one elsewhere, as usual: what the coefficients'
prior is weighed against."""

ROUNDS = 3

ENOUGH_VERTICES = 4000
"""Of larger meshes every second, third... vertex is used."""


@dataclass(frozen=True)
class ModelHeads:
    """Heads in the model's terms.

    shape       (B, S) float32 standard deviations
    expression  (B, E) float32 standard deviations
    vertices    (B, N, 3) float32 the true heads, not the model's version of them, brought into the model's frame and
                to its size, metres
    """

    shape: np.ndarray
    expression: np.ndarray
    vertices: np.ndarray


class ModelProjector:
    """Projects surfaces onto one face model's bases.

    Minimises |c|^2 + sum |mean + B c - s R x - t|^2 / sigma^2 over the vertices. Coefficients and similarity
    alternate, and the similarity's own tangent directions take part in the solution for the coefficients, so that few
    rounds do.
    """

    def __init__(self, model: FaceModel) -> None:
        step = max(1, len(model.mean) // ENOUGH_VERTICES)
        self._used = np.arange(0, len(model.mean), step)
        self._face = model.face_vertices.numpy()[::step]
        self._mean = model.mean.numpy()[self._used].astype(np.float64)
        self._shape_size = model.shape_size
        basis = torch.cat([model.shape_basis, model.expression_basis]).numpy()
        self._basis = basis[:, self._used].reshape(len(basis), -1).astype(np.float64)
        design = np.concatenate([self._basis, _similarity_directions(self._mean)])
        noise = np.where(np.isin(self._used, model.face_vertices.numpy()), SURFACE_NOISE, NOISE_ELSEWHERE)
        weighted = design / np.repeat(noise, 3) ** 2
        prior = np.ones(len(design))
        prior[len(basis) :] = 0.0
        self._solve = np.linalg.solve(weighted @ design.T + np.diag(prior), weighted)[: len(basis)]

    def __call__(self, surfaces: np.ndarray) -> ModelHeads:
        """Express heads (B, N, 3) of the model's mesh, in any right-handed frame and unit, by the model."""
        source = surfaces[:, self._used].astype(np.float64)
        target = np.broadcast_to(self._mean, source.shape)
        for _ in range(ROUNDS):
            similarity = align(source, target)
            misfit = apply_alignment(source, *similarity) - self._mean
            coefficients = misfit.reshape(len(source), -1) @ self._solve.T
            target = self._mean + (coefficients @ self._basis).reshape(source.shape)
        shape, expression = np.split(coefficients.astype(np.float32), [self._shape_size], axis=1)
        return ModelHeads(shape, expression, apply_alignment(surfaces, *similarity).astype(np.float32))

    def camera(self, vertices: np.ndarray, points: np.ndarray) -> tuple[Camera, np.ndarray]:
        """Scaled orthographic cameras that come closest to showing heads where they are seen.

        Parameters
        ----------
        vertices : (B, N, 3) heads in the model's frame, metres
        points : (B, N, 3) the same vertices in the image frame, pixels, with or without perspective

        Returns
        -------
        Cameras, and the depth (B,) of the model's origin in the image frame of the points, pixels
        """
        axes = np.array(MODEL_TO_IMAGE_AXES)
        scale, rotation, translation = align(vertices[:, self._face], points[:, self._face] * axes)
        angles = angles_from_rotation(torch.from_numpy(np.ascontiguousarray(rotation, np.float32)))
        place = (translation * axes).astype(np.float32)
        scales = torch.from_numpy(scale.astype(np.float32))
        return Camera(angles, scales, torch.from_numpy(place[:, :2].copy())), place[:, 2]


def _similarity_directions(points: np.ndarray) -> np.ndarray:
    """(7, N * 3) how points (N, 3) move with a small rotation, translation and growth."""
    unit = np.eye(3)
    spins = [np.cross(axis, points) for axis in unit]
    shifts = [np.broadcast_to(axis, points.shape) for axis in unit]
    return np.stack([*spins, *shifts, points]).reshape(7, -1).astype(np.float64)
