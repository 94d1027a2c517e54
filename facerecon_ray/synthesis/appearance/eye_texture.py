"""Textures of the eyeballs and of the tongue, and the parts that show them."""

import cv2
import numpy as np

from facerecon_ray.synthesis.appearance.atlas_drawing import FINE
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import Part

EYE_SIZE = 128
DEGREES = 200.0
"""Angle from border to border of an eye's texture."""

IRIS_DEGREES = (28.0, 31.0)
"""Range of the iris's radius as an angle around the eyeball's middle: 5.9 mm on a ball of 12 mm is 29 degrees."""


class EyePainter:
    """Paints eyeballs: sclera with veins, iris with fibres and a dark rim, pupil."""

    def __init__(self, geometry: HeadGeometry) -> None:
        self._geometry = geometry
        centre = (np.arange(EYE_SIZE) + 0.5) / EYE_SIZE - 0.5
        self._angle = np.hypot(centre[None, :], centre[:, None]).astype(np.float32) * DEGREES
        down = np.clip((centre[:, None] * DEGREES + 34.0) / 30.0, 0.0, 1.0)
        self._lid_shadow = np.broadcast_to(0.45 + 0.55 * down, self._angle.shape).astype(np.float32)
        self._around = np.arctan2(centre[:, None], centre[None, :]).astype(np.float32)

    def parts(self, subject: Subject) -> list[Part]:
        """Both eyeballs and the tongue."""
        texture = self.texture(subject)
        vertices, geometry = subject.vertices, self._geometry
        eyes = [
            Part(vertices[eye.source], eye.triangles, eye.uv, texture, gloss=0.95, name="eyes")
            for eye in geometry.eyes
        ]
        tongue = geometry.tongue
        pink = np.tile(np.array([176, 92, 90], np.uint8), (8, 8, 1))
        return [*eyes, Part(vertices[tongue.source], tongue.triangles, tongue.uv, pink, gloss=0.6, name="mouth")]

    def texture(self, subject: Subject) -> np.ndarray:
        """(128, 128, 3) uint8 picture of an eyeball looked at along its axis."""
        rng, looks = subject.rng("eyes"), subject.looks
        size, angle = EYE_SIZE, self._angle
        white = np.array([214.0, 206.0, 202.0]) - rng.uniform(0.0, 1.0) * np.array([4.0, 10.0, 22.0])
        white = white - looks.melanin * np.array([16.0, 22.0, 28.0]) - 0.15 * max(subject.age - 50.0, 0.0)
        veins = self._veins(rng)
        colour: np.ndarray = np.broadcast_to(white, (size, size, 3)).astype(np.float32)
        colour = colour - (veins * rng.uniform(0.1, 0.7))[..., None] * np.array([20.0, 90.0, 90.0], np.float32)
        colour -= np.clip((angle - 40.0) / 60.0, 0.0, 1.0)[..., None] * np.array([10.0, 45.0, 45.0], np.float32)
        radius = rng.uniform(*IRIS_DEGREES)
        pupil = radius * rng.uniform(0.28, 0.48)
        fibres = self._fibres(rng)
        ring = np.clip((angle - pupil) / (radius - pupil), 0.0, 1.0)
        base = np.array(looks.eye_colour, np.float32)
        inner = base * np.array([1.12, 1.0, 0.85], np.float32)
        iris = inner + (base - inner) * np.clip(ring * 1.8, 0.0, 1.0)[..., None]
        iris = iris * (1.0 + 0.38 * fibres[..., None])
        iris = iris * (1.0 - rng.uniform(0.4, 0.7) * np.clip((ring - 0.78) / 0.22, 0.0, 1.0)[..., None])
        colour = colour + (iris - colour) * _edge(radius - angle, 1.6)[..., None]
        colour = colour * (1.0 - 0.97 * _edge(pupil - angle, 1.2)[..., None])
        colour = colour * self._lid_shadow[..., None]
        return cv2.convertScaleAbs(np.ascontiguousarray(colour.clip(0.0, 255.0)))

    def _fibres(self, rng: np.random.Generator) -> np.ndarray:
        spokes = rng.standard_normal((24, 96)).astype(np.float32)
        spokes = cv2.GaussianBlur(np.concatenate([spokes, spokes, spokes], 1), (0, 0), 0.7)[:, 96:192] * 1.6
        column = ((self._around + np.pi) / (2 * np.pi) * 96.0).astype(np.float32) % 96.0
        row = np.minimum(self._angle * 0.7, 23.0)
        return cv2.remap(np.concatenate([spokes, spokes[:, :2]], 1), column, row, cv2.INTER_LINEAR).clip(-1.5, 1.5)

    def _veins(self, rng: np.random.Generator) -> np.ndarray:
        fine = np.zeros((EYE_SIZE * 2, EYE_SIZE * 2), np.uint8)
        for _ in range(int(rng.integers(6, 26))):
            start = rng.uniform(0.0, 2 * np.pi)
            radii = np.linspace(rng.uniform(0.18, 0.26), 0.5, 7)
            bend = start + np.cumsum(rng.normal(0.0, 0.06, 7))
            line = (0.5 + np.stack([np.cos(bend), np.sin(bend)], 1) * radii[:, None]) * EYE_SIZE * 2
            shade = int(rng.uniform(60, 200))
            cv2.polylines(fine, [np.round(line * 16).astype(np.int32)], False, shade, 1, cv2.LINE_AA, FINE)
        small = cv2.resize(fine, (EYE_SIZE, EYE_SIZE), interpolation=cv2.INTER_AREA)
        return cv2.GaussianBlur(small, (0, 0), 0.6).astype(np.float32) / 255.0


def _edge(distance: np.ndarray, width: float) -> np.ndarray:
    """0 outside to 1 inside, over some degrees."""
    return np.clip(0.5 + distance / width, 0.0, 1.0).astype(np.float32)
