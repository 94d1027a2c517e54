"""Similarity transforms: a scale, a rotation and a translation."""

from dataclasses import dataclass

import numpy as np

from facerecon_ray.geometry.alignment import align


@dataclass(frozen=True)
class Similarity:
    """q = scale * rotation p + translation.

    scale        positive
    rotation     (3, 3) proper rotation
    translation  (3,) in the unit of q
    """

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    @staticmethod
    def identity() -> "Similarity":
        """Leaves everything where it is."""
        return Similarity(1.0, np.eye(3), np.zeros(3))

    @staticmethod
    def between(source: np.ndarray, target: np.ndarray) -> "Similarity":
        """The transform of source (N, 3) that comes closest to target (N, 3), in the sense of least squares."""
        scale, rotation, translation = align(np.asarray(source, np.float64), np.asarray(target, np.float64))
        return Similarity(float(scale), rotation, translation)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) moved points, float64."""
        return self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation

    def after(self, first: "Similarity") -> "Similarity":
        """The transform that does `first` and then this one."""
        return Similarity(self.scale * first.scale, self.rotation @ first.rotation, self.apply(first.translation))

    def inverse(self) -> "Similarity":
        """The way back."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)

    def turned_about(self, centre: np.ndarray, rotation: np.ndarray) -> "Similarity":
        """This transform with the points turned about a centre (3,), in their own frame, before it is applied."""
        turn = Similarity(1.0, rotation, centre - rotation @ centre)
        return self.after(turn)
