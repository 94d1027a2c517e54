"""Eyebrows: strands along the brow's ridge, drawn into the skin's atlas."""

import numpy as np

from facerecon_ray.synthesis.appearance.atlas_drawing import smooth_curve, strokes
from facerecon_ray.synthesis.people.head_geometry import AtlasMaps
from facerecon_ray.synthesis.people.person import Subject

DROP = (5.8, 1.5)
"""Millimetres, mean and spread, from the landmarks, in the upper half of a brow, down to where its hairs root."""


class BrowPainter:
    """Knows where the brows lie in the atlas."""

    def __init__(self, maps: AtlasMaps, landmarks: np.ndarray) -> None:
        self._curves = []
        for points in (landmarks[21:16:-1], landmarks[22:27]):
            curve = smooth_curve(points, 40)
            self._curves.append(maps.texels_of(curve).astype(np.float64))
        self._millimetre = float(
            np.linalg.norm(np.diff(self._curves[1][[4, -4]], axis=0))
            / (1000.0 * np.linalg.norm(np.diff(smooth_curve(landmarks[22:27], 40)[[4, -4]], axis=0)))
        )

    def paint(self, colour: np.ndarray, subject: Subject) -> None:
        """Draw both brows of a subject into display colours (512, 512, 3)."""
        rng, looks = subject.rng("brows"), subject.looks
        woman = subject.gender > 0.5
        thickness = rng.uniform(5.0, 9.0) if woman else rng.uniform(7.0, 11.5)
        count = int(rng.uniform(200, 400) * (0.8 if woman else 1.15) * (1.0 if subject.age < 60 else 0.85))
        arch = rng.normal(0.0, 1.0)
        drop = rng.normal(*DROP)
        length = rng.uniform(0.88, 1.0)
        lines, widths, strength = [], [], []
        for curve in self._curves:
            smooth = np.stack([np.convolve(np.pad(c, 4, "edge"), np.ones(9) / 9, "valid") for c in curve.T], 1)
            along = np.sort(rng.beta(1.05, 1.15, count)) * length
            index = along * (len(smooth) - 1)
            base = np.stack([np.interp(index, np.arange(len(smooth)), c) for c in smooth.T], 1)
            tangent = np.stack([np.interp(index, np.arange(len(smooth)), np.gradient(c)) for c in smooth.T], 1)
            tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
            half = 0.5 * thickness * np.interp(along, (0.0, 0.15, 0.55, 1.0), (0.75, 1.0, 0.9, 0.25))
            across = np.clip(rng.normal(0.0, 0.5, count), -1.0, 1.0) * half
            bow = arch * np.sin(np.pi * along) - drop
            base[:, 1] += self._millimetre * (across - bow)
            upward = np.interp(along, (0.0, 0.2, 0.6, 1.0), (75.0, 48.0, 16.0, 2.0)) + rng.normal(0.0, 12.0, count)
            upward = np.radians(upward * np.where(across > 0.2 * half, 1.0, 0.55))
            flow = tangent * np.cos(upward)[:, None] + np.array([0.0, -1.0]) * np.sin(upward)[:, None]
            reach = (
                self._millimetre * rng.uniform(3.2, 6.5, count) * np.interp(along, (0.0, 0.3, 1.0), (0.75, 1.0, 0.85))
            )
            middle = base + flow * 0.5 * reach[:, None]
            tip = base + flow * reach[:, None] + tangent * (0.15 * reach)[:, None]
            lines += list(np.stack([base, middle, tip], 1))
            widths += list(rng.uniform(0.28, 0.5, count))
            strength += list(rng.uniform(0.5, 1.0, count))
        cover = strokes(lines, widths, strength)
        body = np.minimum(1.6 * cover, 1.0) * rng.uniform(0.8, 1.0)
        brow = np.array(looks.hair_colour, np.float32)
        darker = min(1.0, (70.0 + 20.0 * rng.random()) / max(float(brow.mean()), 1.0)) if looks.grey < 0.5 else 1.0
        brow = brow * np.float32(max(darker, 0.55))
        where = np.nonzero(body > 0.004)
        share = body[where][:, None].astype(np.float32)
        colour[where] += (np.minimum(brow, 0.55 * colour[where]) - colour[where]) * share
