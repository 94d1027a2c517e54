"""Meshes with a texture. Frame: y up, the face looks along +z."""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class TexturedMesh:
    """A surface and its colours.

    vertices   (V, 3) float32 metres
    normals    (V, 3) float32 unit vectors
    triangles  (T, 3) int, counter-clockwise seen from outside
    uv         (V, 2) float32 place in the texture, v from the top down, 0 to 1
    texture    (H, W, 3) uint8 RGB
    """

    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    texture: np.ndarray

    def vertex_colours(self) -> np.ndarray:
        """(V, 3) uint8 colours of the texture at the vertices."""
        height, width = self.texture.shape[:2]
        # OpenCV puts pixel centres at whole numbers, and its maps may have at most 32767 rows.
        place = (self.uv * (width, height) - 0.5).astype(np.float32).reshape(-1, 1, 2)
        rows = [
            cv2.remap(self.texture, part, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for part in np.array_split(place, len(place) // 32768 + 1)
        ]
        return np.concatenate(rows)[:, 0]
