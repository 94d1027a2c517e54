"""Kinds of made backgrounds: each takes a size in pixels and a generator and returns (S, S, 3) float32, 0 to 255."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

SHIFT = 4
"""OpenCV draws with this many fractional bits of a pixel."""


def _colour(rng: np.random.Generator, low: float = 15.0, high: float = 240.0) -> np.ndarray:
    """(3,) a colour of everyday things: any brightness, mostly weakly coloured, warm more often than cold."""
    brightness = rng.uniform(low, high)
    strength = rng.exponential(0.15)
    tint = rng.normal([0.4, 0.0, -0.4], 0.6)
    return (brightness * np.exp(strength * (tint - tint.mean()))).clip(0.0, 255.0).astype(np.float32)


def _noise(size: int, cells: int, octaves: int, rng: np.random.Generator) -> np.ndarray:
    """(S, S) float32 fractal noise, about -1 to 1, from smooth enlargements of random grids."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        grid = rng.standard_normal((cells * 2**octave, cells * 2**octave), dtype=np.float32)
        if len(grid) > size:
            break
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(0.5 * 0.55**octave)
    return total


def _palette(values: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """(S, S, 3) colours along a list (C, 3), for values (S, S) of 0 to 1."""
    place = values.clip(0.0, 1.0) * (len(colours) - 1)
    lower = np.minimum(place.astype(np.int32), len(colours) - 2)
    share = (place - lower)[..., None]
    return colours[lower] * (1.0 - share) + colours[lower + 1] * share


def _fill(picture: np.ndarray, corners: np.ndarray, colour: np.ndarray) -> None:
    points = np.round(corners * (1 << SHIFT)).astype(np.int32)
    cv2.fillPoly(picture, [points], tuple(float(c) for c in colour), cv2.LINE_AA, SHIFT)


def _plain(size: int, rng: np.random.Generator) -> np.ndarray:
    """A studio's wall: one colour, shaded along a line or round a spot."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    spot = np.hypot(x - rng.uniform(-0.4, 0.4), y - rng.uniform(-0.4, 0.4))
    ramp = 0.5 + (along if rng.random() < 0.5 else 0.5 - 1.2 * spot)
    colour = _colour(rng)
    colours = np.stack([colour, colour * rng.uniform(0.4, 1.3) + rng.normal(0.0, 8.0, 3)]).astype(np.float32)
    grain = _noise(size, 20, 4, rng)[..., None] * np.float32(rng.exponential(3.0))
    return _palette(ramp, colours) + grain


def _blobs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Something far out of focus."""
    cells = int(rng.integers(3, 9))
    coarse = np.stack([_colour(rng) for _ in range(cells * cells)]).reshape(cells, cells, 3)
    coarse = coarse.mean((0, 1)) + (coarse - coarse.mean((0, 1))) * np.float32(rng.uniform(0.2, 0.9))
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).clip(0.0, 255.0)


def _clouds(size: int, rng: np.random.Generator) -> np.ndarray:
    """Plaster, clouds, stone: smooth noise through a few colours."""
    noise = _noise(size, int(rng.integers(2, 8)), int(rng.integers(3, 7)), rng)
    first = _colour(rng)
    others = [first + rng.normal(0.0, rng.uniform(10.0, 60.0)) + rng.normal(0.0, 12.0, 3) for _ in range(2)]
    colours = np.stack([first, *others]).clip(0.0, 255.0).astype(np.float32)
    return _palette(0.5 + 0.5 * noise, colours)


def _room(size: int, rng: np.random.Generator) -> np.ndarray:
    """Back wall, side walls, floor and ceiling in perspective, with windows, pictures and furniture."""
    picture = np.zeros((size, size, 3), np.float32)
    left, right = sorted(rng.uniform(-0.3, 1.3, 2) * size)
    right = max(right, left + 0.35 * size)
    top, bottom = rng.uniform(-0.2, 0.3) * size, rng.uniform(0.65, 1.25) * size
    wall = _colour(rng, 60.0, 235.0)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    inner = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    outer = middle + (inner - middle) * 12.0
    shades = (rng.uniform(0.9, 1.25), rng.uniform(0.6, 1.05), 0.0, rng.uniform(0.6, 1.05))
    floor = _colour(rng, 20.0, 170.0)
    for side in range(4):
        quad = np.stack([inner[side], inner[(side + 1) % 4], outer[(side + 1) % 4], outer[side]])
        _fill(picture, quad, floor if side == 2 else wall * shades[side])
    _fill(picture, inner, wall)
    for _ in range(rng.integers(1, 6)):
        x, width = rng.uniform(left, right), rng.uniform(0.06, 0.35) * size
        if rng.random() < 0.5:
            y, height = rng.uniform(top, bottom), rng.uniform(0.08, 0.35) * size
            bright = rng.random() < 0.4
            _box(picture, x, y, width, height, _colour(rng, 200.0, 255.0) if bright else _colour(rng), rng)
        else:
            height = rng.uniform(0.15, 0.6) * size
            _box(picture, x, bottom - height / 2, width, height, _colour(rng, 15.0, 180.0), rng)
    return picture + _noise(size, 8, 4, rng)[..., None] * 4.0


def _box(
    picture: np.ndarray, x: float, y: float, width: float, height: float, colour: np.ndarray, rng: np.random.Generator
) -> None:
    """A framed rectangle with its middle at x, y: a window, a picture, a door or a cupboard."""
    half = np.array([width, height]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + np.array([x, y])
    _fill(picture, corners, _colour(rng))
    _fill(picture, corners * 0.92 + np.array([x, y]) * 0.08, colour)
    for _ in range(rng.integers(0, 3)):
        place = rng.uniform(-0.8, 0.8)
        ends = np.array([[place, -0.9], [place, 0.9]])
        ends = ends if rng.random() < 0.5 else ends[:, ::-1]
        (x0, y0), (x1, y1) = np.round((ends * half + (x, y)) * (1 << SHIFT)).astype(int)
        tone = tuple(float(c) for c in colour * 0.6)
        cv2.line(picture, (x0, y0), (x1, y1), tone, max(1, len(picture) // 130), cv2.LINE_AA, SHIFT)


def _pattern(size: int, rng: np.random.Generator) -> np.ndarray:
    """Bricks, tiles, boards, shelves of books, blinds: rows of rectangles on a wall that is seen at an angle."""
    rows, columns = int(rng.integers(3, 16)), int(rng.integers(2, 18))
    flat = np.zeros((size, size, 3), np.float32) + _colour(rng)
    base, spread = _colour(rng), rng.uniform(0.02, 0.5)
    colourful, offset, joint = rng.random() < 0.35, rng.random() < 0.5, rng.uniform(0.02, 0.2)
    height = size / rows
    for row in range(rows):
        edges = np.sort(rng.uniform(0.0, size, columns + 1)) if colourful else np.linspace(0, size, columns + 1)
        edges = edges + (0.5 * size / columns if offset and row % 2 else 0.0)
        for start, stop in itertools.pairwise(edges):
            colour = _colour(rng) if colourful else base * np.exp(rng.normal(0.0, spread))
            top = row * height + (height * rng.uniform(0.0, 0.25) if colourful else 0.0)
            gap = joint * min(height, stop - start)
            low, high = (round(start), round(top)), (round(stop - gap), round((row + 1) * height - gap))
            cv2.rectangle(flat, low, high, tuple(float(c) for c in colour), cv2.FILLED)
    square = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    seen = square * 1.5 - 0.25 * size + rng.normal(0.0, 0.12 * size, (4, 2)).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(square, seen.astype(np.float32))
    return cv2.warpPerspective(flat, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _leaves(size: int, rng: np.random.Generator) -> np.ndarray:
    """Foliage: many small leaves over dark, with the sky here and there."""
    green = np.array([0.75, 1.0, 0.45], np.float32) * np.exp(rng.normal(0.0, 0.2, 3))
    depth = _noise(size, 3, 5, rng)
    picture = _palette(0.5 + 0.6 * depth, np.stack([green * 15.0, green * 70.0, green * 130.0]).astype(np.float32))
    count = int(rng.integers(120, 420))
    places, turns = rng.uniform(0.0, size, (count, 2)), rng.uniform(0.0, 360.0, count)
    lengths = size * rng.uniform(0.012, 0.06) * rng.uniform(0.6, 1.5, count)
    tones = green * rng.uniform(30.0, 210.0, (count, 1))
    for (x, y), turn, length, tone in zip(places, turns, lengths, tones, strict=True):
        axes = (max(1, int(length)), max(1, int(length * 0.45)))
        cv2.ellipse(picture, (int(x), int(y)), axes, turn, 0, 360, tuple(float(c) for c in tone), cv2.FILLED)
    sky = ((_noise(size, 4, 3, rng) - rng.uniform(0.4, 1.5)) * 4.0).clip(0.0, 1.0)[..., None]
    return picture * (1.0 - sky) + sky * np.array([215.0, 228.0, 245.0], np.float32)


def _lights(size: int, rng: np.random.Generator) -> np.ndarray:
    """Night: lamps out of focus, as discs, over something dark."""
    picture = _blobs(size, rng) * np.float32(rng.uniform(0.1, 0.4))
    radius = size * rng.uniform(0.015, 0.07)
    for _ in range(rng.integers(15, 60)):
        reach = max(2, int(radius * rng.uniform(0.6, 1.4)))
        left, top = (rng.uniform(0.0, 1.0, 2) * (size - 2 * reach - 1)).astype(int)
        disc = np.zeros((2 * reach + 1, 2 * reach + 1), np.uint8)
        cv2.circle(disc, (reach, reach), reach, 255, cv2.FILLED, cv2.LINE_AA)
        colour = _colour(rng, 150.0, 255.0) * rng.uniform(0.2, 0.8)
        picture[top : top + len(disc), left : left + len(disc)] += disc[..., None] * (colour / 255.0)
    return picture


def _clutter(size: int, rng: np.random.Generator) -> np.ndarray:
    """Shapes of all kinds over each other: a street, a workshop, a poster."""
    picture = np.zeros((size, size, 3), np.float32) + _colour(rng)
    for _ in range(rng.integers(8, 45)):
        colour, middle = _colour(rng), rng.uniform(0.0, size, 2)
        extent = size * 0.35 * rng.random() ** 1.5 + 3.0
        kind = rng.integers(3)
        if kind == 0:
            corners = middle + rng.normal(0.0, extent / 2, (int(rng.integers(3, 7)), 2))
            _fill(picture, corners, colour)
        elif kind == 1:
            axes = (int(extent), int(extent * rng.uniform(0.2, 1.0)) + 1)
            centre = (int(middle[0]), int(middle[1]))
            tone = tuple(float(c) for c in colour)
            cv2.ellipse(picture, centre, axes, rng.uniform(0, 360), 0, 360, tone, cv2.FILLED, cv2.LINE_AA)
        else:
            across = np.array([extent * 0.12 * rng.random() + 1.0, size * rng.uniform(0.2, 1.2)])
            angle = rng.normal(0.0, 0.3) + (np.pi / 2 if rng.random() < 0.3 else 0.0)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * across @ turn + middle
            _fill(picture, corners, colour)
    return picture + _noise(size, 6, 5, rng)[..., None] * np.float32(rng.uniform(0.0, 14.0))


@dataclass(frozen=True)
class Kind:
    """A kind of background: its share of all, what makes it, and the share of the resolution that it is made at."""

    share: float
    make: Callable[[int, np.random.Generator], np.ndarray]
    resolution: float = 1.0


KINDS = (
    Kind(0.20, _plain, 0.6),
    Kind(0.12, _blobs, 0.5),
    Kind(0.10, _clouds, 0.7),
    Kind(0.20, _room),
    Kind(0.12, _pattern),
    Kind(0.10, _leaves),
    Kind(0.06, _lights, 0.7),
    Kind(0.10, _clutter),
)


def make_background(size: int, rng: np.random.Generator) -> np.ndarray:
    """A background of one kind, with uneven light across it and the lens more or less out of focus.

    Parameters
    ----------
    size : pixels
    rng : decides everything

    Returns
    -------
    (size, size, 3) uint8 RGB
    """
    shares = np.array([kind.share for kind in KINDS])
    kind = KINDS[rng.choice(len(KINDS), p=shares / shares.sum())]
    picture = kind.make(max(8, round(size * kind.resolution)), rng)
    corners = np.exp(rng.normal(0.0, 0.25, (2, 2))).astype(np.float32)
    picture = picture * cv2.resize(corners, picture.shape[:2], interpolation=cv2.INTER_LINEAR)[..., None]
    if rng.random() < 0.85:
        sigma = len(picture) / 320.0 * 8.0 * rng.random()
        picture = cv2.GaussianBlur(picture, (0, 0), max(0.3, sigma), borderType=cv2.BORDER_REFLECT)
    return cv2.resize(picture.clip(0.0, 255.0).astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
