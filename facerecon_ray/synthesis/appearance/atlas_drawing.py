"""Drawing into the skin's atlas: lines finer than a texel, soft dots, smooth noise."""

from collections.abc import Sequence

import cv2
import numpy as np

from facerecon_ray.synthesis.people.head_geometry import TEXTURE_SIZE

FINE = 4
"""Lines are drawn this many times as large and averaged."""

SUBPIXEL_BITS = 4


def strokes(lines: Sequence[np.ndarray], widths: Sequence[float], strength: Sequence[float]) -> np.ndarray:
    """Coverage of lines, drawn at four times the atlas's resolution around where they are.

    Parameters
    ----------
    lines : each (n, 2) x and y in texels
    widths : of each, texels
    strength : of each, 0 to 1

    Returns
    -------
    (512, 512) float32, 0 to 1
    """
    canvas = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    if not lines:
        return canvas
    points = np.concatenate(lines)
    low = np.floor(points.min(0)).astype(int) - 3
    high = np.ceil(points.max(0)).astype(int) + 4
    low, high = low.clip(0, TEXTURE_SIZE - 1), high.clip(1, TEXTURE_SIZE)
    width, height = high - low
    fine = np.zeros((height * FINE, width * FINE), np.uint8)
    for line, thickness, value in zip(lines, widths, strength, strict=True):
        place = np.round(((line - low) * FINE - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
        share = min(thickness * FINE, 1.0) * value
        drawn = max(1, round(thickness * FINE))
        cv2.polylines(fine, [place], False, int(255 * share), drawn, cv2.LINE_AA, SUBPIXEL_BITS)
    canvas[low[1] : high[1], low[0] : high[0]] = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    return canvas / 255.0


def filled(outline: np.ndarray, softness: float) -> np.ndarray:
    """(512, 512) float32, 1 inside a closed outline (n, 2) in texels, with a soft edge of some texels."""
    fine = np.zeros((2 * TEXTURE_SIZE, 2 * TEXTURE_SIZE), np.uint8)
    place = np.round((outline * 2 - 0.5) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(fine, [place], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    small = cv2.resize(fine, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    return cv2.GaussianBlur(small, (0, 0), softness)


def smooth_curve(points: np.ndarray, count: int, closed: bool = False) -> np.ndarray:
    """(count, D) points of a Catmull-Rom spline through points (n, D)."""
    n = len(points)
    t = np.linspace(0.0, n if closed else n - 1, count, endpoint=not closed)
    i = np.minimum(t.astype(int), n - 1 if closed else max(n - 2, 0))
    f = (t - i)[:, None]

    def at(k: np.ndarray) -> np.ndarray:
        return points[k % n] if closed else points[k.clip(0, n - 1)]

    p0, p1, p2, p3 = at(i - 1), at(i), at(i + 1), at(i + 2)
    return 0.5 * (2 * p1 + (p2 - p0) * f + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2 + (3 * p1 - p0 - 3 * p2 + p3) * f**3)


def speckles(count: int, sizes: tuple[float, float], where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(512, 512) float32, 0 to 1: soft dots at random places.

    Parameters
    ----------
    count : dots that are tried; each stays with the probability that `where` has at its place
    sizes : smallest and largest radius in texels
    where : (512, 512) probability
    """
    places = rng.integers(0, TEXTURE_SIZE, (count, 2))
    kept = rng.random(count) < where[places[:, 1], places[:, 0]]
    radii = rng.uniform(*sizes, count)[kept]
    values = rng.uniform(0.3, 1.0, count)[kept]
    fine = np.zeros((2 * TEXTURE_SIZE, 2 * TEXTURE_SIZE), np.uint8)
    for (x, y), radius, value in zip(places[kept].tolist(), radii.tolist(), values.tolist(), strict=True):
        centre = (int((2 * x + 0.5) * 16), int((2 * y + 0.5) * 16))
        cv2.circle(fine, centre, max(int(2 * radius * 16), 8), int(255 * value), -1, cv2.LINE_AA, SUBPIXEL_BITS)
    small = cv2.resize(fine, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    return cv2.GaussianBlur(small, (0, 0), 0.6)


class SmoothNoise:
    """Random fields over the head's surface without seams: sums of plane waves at the texels' places in space."""

    def __init__(self, place: np.ndarray, step: int = 4) -> None:
        """Prepare for places (512, 512, 3) in metres; fields are worked out at every `step`-th texel."""
        rng = np.random.default_rng(0)
        coarse = np.ascontiguousarray(place[step // 2 :: step, step // 2 :: step]).reshape(-1, 3)
        waves = {}
        for name, wavelength in (("broad", 0.09), ("blotch", 0.03), ("patch", 0.012)):
            directions = rng.normal(size=(20, 3))
            directions *= 2 * np.pi / wavelength / np.linalg.norm(directions, axis=1, keepdims=True)
            phase = coarse @ directions.T
            waves[name] = np.concatenate([np.sin(phase), np.cos(phase)], 1).astype(np.float32)
        self._waves, self._side = waves, TEXTURE_SIZE // step

    def __call__(self, name: str, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 512, 512) float32 fields of unit size; name is broad, blotch or patch: 9, 3 or 1.2 cm."""
        waves = self._waves[name]
        weights = rng.normal(0.0, np.sqrt(2.0 / waves.shape[1]), (waves.shape[1], count)).astype(np.float32)
        # einsum adds in a fixed order; a BLAS product may add in another order for each number of threads.
        fields = np.einsum("nk,kc->cn", waves, weights).reshape(count, self._side, self._side)
        return np.stack([cv2.resize(f, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_CUBIC) for f in fields])


def grain(rng: np.random.Generator, size: float) -> np.ndarray:
    """(512, 512) float32 noise of unit size whose grains are some texels wide."""
    noise = rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE), np.float32)
    if size <= 0.0:
        return noise
    smooth = cv2.GaussianBlur(noise, (0, 0), size)
    return smooth * np.float32(2.0 * np.sqrt(np.pi) * size)
