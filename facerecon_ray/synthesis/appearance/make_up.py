"""Make-up: eye shadow, eye liner and blush over the skin's colours."""

import numpy as np

from facerecon_ray.synthesis.appearance.atlas_drawing import smooth_curve, strokes
from facerecon_ray.synthesis.people.person import Subject

SHADOWS = np.array([[90, 70, 60], [120, 80, 90], [60, 70, 90], [140, 100, 70], [70, 50, 70], [60, 90, 90]], np.float32)


def paint_make_up(
    colour: np.ndarray, subject: Subject, lids: np.ndarray, cheeks: np.ndarray, flat_marks: np.ndarray
) -> None:
    """Paint into display colours (512, 512, 3).

    Parameters
    ----------
    colour : changed in place
    subject : whose make-up
    lids, cheeks : (512, 512) where eye shadow and blush go, 0 to 1
    flat_marks : (68, 2) the landmarks' texels
    """
    rng, amount = subject.rng("make-up"), subject.looks.make_up
    if rng.random() < 0.7:
        shadow = SHADOWS[rng.integers(len(SHADOWS))] * np.float32(rng.uniform(0.6, 1.2))
        _multiply(colour, shadow / shadow.max(), lids * amount * rng.uniform(0.2, 0.9))
    if rng.random() < 0.6:
        blush = np.array([1.0, 0.62, 0.62], np.float32)
        _multiply(colour, blush, cheeks * amount * rng.uniform(0.1, 0.55))
    if rng.random() < 0.7:
        lines = []
        for corner, lid in ((36, (36, 37, 38, 39)), (45, (45, 44, 43, 42))):
            upper = smooth_curve(flat_marks[list(lid)], 24)
            outward = flat_marks[corner] - flat_marks[lid[-1]]
            wing = flat_marks[corner] + outward * rng.uniform(0.0, 0.15) - (0.0, rng.uniform(0.0, 2.0))
            lines.append(np.concatenate([wing[None], upper]) - (0.0, 0.6))
        cover = strokes(lines, [rng.uniform(0.7, 1.8)] * 2, [1.0, 1.0]) * amount
        _multiply(colour, np.array([0.2, 0.18, 0.18], np.float32), cover)


def _multiply(colour: np.ndarray, tint: np.ndarray, share: np.ndarray) -> None:
    where = np.nonzero(share > 0.004)
    colour[where] *= 1.0 + (tint - 1.0) * share[where][:, None].astype(np.float32)
