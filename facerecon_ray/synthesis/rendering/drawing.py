"""What the two ways of drawing a head have in common: the lit mesh that they get and the formula for a pixel's colour.

A pixel is texture times light, in linear colour, plus highlights of the lamps (Blinn, Models of light reflection for
computer synthesized pictures, 1977, normalised, with Schlick's Fresnel factor) and of what the surface mirrors of the
surroundings, more at grazing angles. The viewer looks along -z everywhere, which is exact enough for a head in the
middle of a picture.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

MAX_LAMPS = 2

SUPERSAMPLING = 2
"""Samples of a pixel along each side, averaged in linear light; edges of cut-outs are smooth for the same reason."""

REFLECTANCE = 0.04
"""Share of light that skin, hair and the eye's wet surface mirror at normal incidence."""

SHEEN = 0.10
FULL_GLOSS = 0.35
"""Gloss from which on a surface mirrors its full share; below, less."""


@dataclass(frozen=True)
class DrawnPart:
    """A run of triangles with one texture (H, W, 3 or 4) uint8, drawn on one side or both."""

    first: int
    stop: int
    texture: np.ndarray
    two_sided: bool

    @property
    def cut_out(self) -> bool:
        """Whether parts of the texture are not drawn."""
        return self.texture.shape[2] == 4


@dataclass(frozen=True, eq=False)
class DrawnHead:
    """A head's mesh, whatever its pose: the same object for all views, so that it is uploaded once.

    triangles  (T, 3) int64
    uv         (N, 2) float32
    gloss      (N,) float32
    parts      runs of triangles
    """

    triangles: np.ndarray
    uv: np.ndarray
    gloss: np.ndarray
    parts: tuple[DrawnPart, ...]


@dataclass(frozen=True, eq=False)
class LitView:
    """One view of a head.

    points           (N, 3) float32 image frame, pixels
    normals          (N, 3) float32 axes of the model frame, turned to the camera
    light            (N, 3) float32 linear light, 1 shows a surface in its own colour
    surround         (N, 3) float32 light of the surroundings from where a mirror would show them, without lamps
    lamp_visibility  (N, L) float32, L at most 2
    lamp_directions  (L, 3) float32 unit vectors
    lamp_colours     (L, 3) float32
    """

    points: np.ndarray
    normals: np.ndarray
    light: np.ndarray
    surround: np.ndarray
    lamp_visibility: np.ndarray
    lamp_directions: np.ndarray
    lamp_colours: np.ndarray

    def half_vectors(self) -> np.ndarray:
        """(L, 3) float32 unit vectors between the lamps and the viewer: a surface that faces one mirrors its lamp."""
        between = self.lamp_directions + np.array([0.0, 0.0, 1.0], np.float32)
        return between / np.linalg.norm(between, axis=1, keepdims=True).clip(1e-6)

    def mirrored_colours(self) -> np.ndarray:
        """(L, 3) float32 what a surface mirrors of the lamps, more of it where light only grazes."""
        grazing = (1.0 - self.half_vectors()[:, 2:].clip(0.0, 1.0)) ** 5
        return (self.lamp_colours * (REFLECTANCE + (1.0 - REFLECTANCE) * grazing)).astype(np.float32)


class Drawing(Protocol):
    """Draws lit heads: with OpenGL, or with the project's own rasterizer."""

    def __call__(self, head: DrawnHead, view: LitView, size: int) -> np.ndarray:
        """(size, size, 4) float32 linear red, green, blue and coverage, colours multiplied by the coverage."""
        ...
