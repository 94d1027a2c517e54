"""The outline of a face that is turned away: forehead, nose, lips and chin against whatever lies behind.

Seen from the side, the edge of the face towards which it looks is the sharpest line in the picture, and unlike texture
it tells the depth of the nose. Points of the mesh on that edge are pulled to the strongest edge of the picture nearby,
across the outline.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.synthesis.importers.rigid_fit import RigidState

LEAST_YAW = 30.0
"""Degrees below which the edge of the face region is no outline."""

ROWS = 40
REACH, SAMPLES = 0.05, 21
"""Distance on both sides of the mesh's edge at which edges are looked for, in face sizes, and number of places."""

SMOOTHING = 0.006
DEVIATION = 0.008
"""Widths of the Gaussian over the picture, and expected error of an edge, in face sizes."""

LEAST_CONTRAST = 3.0
"""Grey levels from one place to the next; weaker edges are none."""


@dataclass(frozen=True)
class OutlineTerm:
    """Edges of a picture pull the outline of the mesh.

    points  (N, 3) of the face region, metres
    grey    (H, W) float32 smoothed picture
    """

    points: np.ndarray
    grey: np.ndarray

    @staticmethod
    def of(points: np.ndarray, picture: np.ndarray, face_size: float) -> "OutlineTerm":
        """Term for a picture (H, W, 3) uint8 in which the face has a size in pixels."""
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        return OutlineTerm(points, cv2.GaussianBlur(grey, (0, 0), max(SMOOTHING * face_size, 0.5)))

    def normal_equations(self, state: RigidState, unit: float) -> tuple[np.ndarray, np.ndarray]:
        """(6, 6) and (6,), zeros for a face that looks to the front."""
        yaw, _, roll = state.angles
        if abs(yaw) < LEAST_YAW:
            return np.zeros((6, 6)), np.zeros(6)
        side = np.sign(yaw) * np.array([np.cos(np.radians(roll)), np.sin(np.radians(roll))])
        edge = self._edge(state, side)
        offset, weight = self._offsets(state.project(edge), side, unit)
        jacobian = np.einsum("nci,c->ni", state.derivatives(edge, unit), side)
        deviation = DEVIATION * unit
        weight = weight / np.maximum(np.abs(offset) / deviation / 1.5, 1.0) / deviation**2
        return (jacobian * weight[:, None]).T @ jacobian, jacobian.T @ (weight * offset)

    def _edge(self, state: RigidState, side: np.ndarray) -> np.ndarray:
        """(R, 3) the outermost point of each stripe across the face."""
        seen = state.project(self.points)
        outward, along = seen @ side, seen @ np.array([-side[1], side[0]])
        low, high = along.min(), along.max()
        stripe = np.clip(((along - low) / (high - low) * ROWS).astype(int), 0, ROWS - 1)
        order = np.lexsort((outward, stripe))
        last = np.flatnonzero(np.diff(stripe[order], append=ROWS))
        edge: np.ndarray = self.points[order[last]]
        return edge

    def _offsets(self, places: np.ndarray, side: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
        """(R,) pixels along the side to the strongest edge nearby, and (R,) 1 where there is one, else 0."""
        reach = np.linspace(-REACH, REACH, SAMPLES) * unit
        at = (places[:, None] + reach[:, None] * side - 0.5).astype(np.float32)
        values = cv2.remap(self.grey, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        contrast = np.abs(np.gradient(values, axis=1)) * np.exp(-0.5 * (reach / (0.5 * REACH * unit)) ** 2)
        best = contrast.argmax(1)
        found = contrast[np.arange(len(best)), best] > LEAST_CONTRAST
        return reach[best], found.astype(np.float64)
