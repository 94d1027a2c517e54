"""Teeth: two arches behind the lips, the upper fixed to the skull, the lower moving with the chin."""

import cv2
import numpy as np

from facerecon_ray.synthesis.appearance.round_shapes import grid_triangles, grid_uv
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

COLUMNS, ROWS = 25, 4
BEHIND_LIPS = 0.0085
"""Metres from the lips' seam back to the incisors."""

HEIGHT, GUMS = 0.0095, 0.006

TEETH_WIDTHS = np.array([6.5, 6.8, 7.0, 6.8, 7.6, 6.6, 8.6, 8.6, 6.6, 7.6, 6.8, 7.0, 6.8, 6.5])


class TeethMaker:
    """Builds both rows of teeth."""

    def __init__(self, geometry: HeadGeometry) -> None:
        self._geometry = geometry
        chin = geometry.landmarks[8] + (0.0, 0.006, 0.004)
        distance = np.linalg.norm(geometry.average - chin, axis=1)
        self._chin = distance.argsort()[:30]

    def parts(self, subject: Subject) -> list[Part]:
        """Upper and lower teeth with their gums."""
        rng = subject.rng("teeth")
        marks = self._geometry.landmarks_of(subject.neutral)
        seam = (marks[62] + marks[66]) / 2
        jaw = (subject.vertices[self._chin] - subject.neutral[self._chin]).mean(0)
        texture = _texture(subject, rng)
        width, depth = rng.uniform(0.024, 0.027), rng.uniform(0.030, 0.034)
        front = seam - (0.0, 0.0, BEHIND_LIPS)
        upper = _arch(front - (0.0, 0.0012, 0.0), width, depth, 1.0)
        lower = _arch(front + jaw - (0.0, 0.0012, 0.0022), 0.93 * width, 0.95 * depth, -1.0)
        triangles, uv = grid_triangles(ROWS, COLUMNS), grid_uv(ROWS, COLUMNS)
        flipped = np.stack([uv[:, 0] * 0.8 + 0.1, 1.0 - uv[:, 1]], 1).astype(np.float32)
        return [
            Part(upper, triangles, uv, texture, gloss=0.6, two_sided=True, name="teeth"),
            Part(lower, triangles, flipped, texture, gloss=0.6, two_sided=True, name="teeth"),
        ]


def _arch(front: np.ndarray, width: float, depth: float, up: float) -> np.ndarray:
    """(ROWS * COLUMNS, 3) from top to bottom: gums to biting edge for the upper row, the other way for the lower."""
    angle = np.linspace(-0.5 * np.pi, 0.5 * np.pi, COLUMNS)
    outline = np.stack([width * np.sin(angle), np.zeros(COLUMNS), depth * (np.cos(angle) - 1.0)], 1)
    height = np.linspace(HEIGHT + GUMS, 0.0, ROWS)[:, None] * up
    rows = height if up > 0 else height[::-1]
    lean = np.abs(rows) * -0.15
    points = front + outline[None] + np.stack([0.0 * rows, rows, lean], -1)
    return points.reshape(-1, 3).astype(np.float32)


def _texture(subject: Subject, rng: np.random.Generator) -> np.ndarray:
    """(48, 256, 3) uint8: gums above, teeth below with dark gaps between them."""
    ivory = np.array([236.0, 226.0, 206.0]) - np.array([20.0, 28.0, 46.0]) * rng.uniform(
        0.0, 0.4 + subject.age / 160.0
    )
    picture = np.broadcast_to(ivory, (48, 256, 3)).astype(np.float32).copy()
    edges = np.concatenate([[0.0], np.cumsum(TEETH_WIDTHS)]) / TEETH_WIDTHS.sum() * 256.0
    x = np.arange(256) + 0.5
    gap = np.abs(x[:, None] - edges[None]).min(1)
    picture *= (1.0 - 0.4 * np.exp(-((gap / 0.9) ** 2)))[None, :, None].astype(np.float32)
    tooth = np.searchsorted(edges, x) - 1
    picture *= (1.0 + rng.normal(0.0, 0.02, len(edges) + 1))[tooth][None, :, None].astype(np.float32)
    rows = np.arange(48)[:, None] + 0.5
    line = 48.0 * GUMS / (GUMS + HEIGHT) + 3.0 * np.exp(-((gap / 3.0) ** 2))[None] - 1.5
    gums = np.array([176.0, 104.0, 100.0]) * (1.0 - 0.35 * subject.looks.melanin)
    share = np.clip(0.5 + (line - rows) / 2.0, 0.0, 1.0)[..., None]
    picture = picture + (gums - picture) * share
    return cv2.convertScaleAbs(np.ascontiguousarray(picture, np.float32))
