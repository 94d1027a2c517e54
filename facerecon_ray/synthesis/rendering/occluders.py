"""Things between the camera and the face: hands, strands of hair, scarves and masks, held objects, writing.

They are flat shapes with soft shading in the picture's plane, enough to teach a network that not every pixel in front
of a face is face. None covers more of the face than the settings allow.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.config.synthesis import OccluderSettings
from facerecon_ray.geometry.face_model import FaceModel

SHIFT = 4
TRIES = 5

LOWER_FACE, MASK_WIDTH = -0.008, 0.055
"""Metres on the mean head: a mask covers what lies below this height, just under the nose's tip, this far aside."""

LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .-!?"


@dataclass(frozen=True, eq=False)
class Shape:
    """Something flat: cover (S, S) float32, 0 to 1, and its linear colour, (3,) or (S, S, 3) float32."""

    cover: np.ndarray
    colour: np.ndarray


@dataclass(frozen=True, eq=False)
class FaceInPicture:
    """Where the face is: its outline's convex hull and its lower part's (N, 2) pixels, middle and half size."""

    size: int
    hull: np.ndarray
    lower: np.ndarray
    middle: np.ndarray
    reach: float

    def area(self) -> np.ndarray:
        """(S, S) bool, true inside the hull."""
        inside = np.zeros((self.size, self.size), np.uint8)
        cv2.fillConvexPoly(inside, np.round(self.hull).astype(np.int32), 1)
        return inside > 0


class Occluders:
    """Puts things before faces."""

    def __init__(self, settings: OccluderSettings) -> None:
        self._most = settings.most
        model = FaceModel.default()
        self._face = model.face_vertices.numpy()
        place = model.mean[model.face_vertices].numpy()
        self._lower = self._face[(place[:, 1] < LOWER_FACE) & (np.abs(place[:, 0]) < MASK_WIDTH)]

    def put_before(self, light: np.ndarray, points: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Put one thing before a face.

        Parameters
        ----------
        light : (S, S, 3) float32 exposed linear light
        points : (M, 3) the face model's vertices in the picture, pixels
        seed : decides what it is

        Returns
        -------
        the picture with it, and (S, S) bool, true where it is; unchanged if every try would cover too much
        """
        rng = np.random.default_rng(seed)
        face = self._where(points, len(light))
        area = face.area()
        for _ in range(TRIES):
            shape = KINDS[rng.choice(len(KINDS), p=SHARES)](face, rng)
            occluded = shape.cover > 0.5
            if (occluded & area).sum() <= self._most * area.sum():
                cover = shape.cover[..., None]
                return light * (1.0 - cover) + shape.colour * cover, occluded
        return light, np.zeros_like(area)

    def _where(self, points: np.ndarray, size: int) -> FaceInPicture:
        hull = cv2.convexHull(points[self._face, :2].astype(np.float32))[:, 0]
        lower = cv2.convexHull(points[self._lower, :2].astype(np.float32))[:, 0]
        return FaceInPicture(size, hull, lower, (hull.min(0) + hull.max(0)) / 2, float(np.ptp(hull, axis=0).max()) / 2)


def _hand(face: FaceInPicture, rng: np.random.Generator) -> Shape:
    """A palm and fingers that come in from outside and end on the face."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    outward = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-outward[1], outward[0]])
    tip = face.middle + outward * face.reach * rng.uniform(0.35, 0.9)
    thick, length = face.reach * rng.uniform(0.11, 0.17), face.reach * rng.uniform(0.5, 0.9)
    height = np.zeros((face.size, face.size), np.float32)
    spread = rng.uniform(1.0, 1.5)
    fingers = int(rng.integers(2, 5))
    palm = tip + outward * length
    for finger in range(fingers):
        place = finger - (fingers - 1) / 2
        end = tip + across * place * 2.1 * thick * spread + outward * rng.uniform(-0.1, 0.3) * length
        _stroke(height, end, palm + across * place * 1.9 * thick, thick)
    _stroke(height, palm, palm + outward * 3.0 * face.reach, thick * fingers)
    tone = rng.uniform(0.04, 0.6) * np.array([1.0, 0.66, 0.5]) * np.exp(rng.normal(0.0, 0.08, 3))
    return _solid(height, tone, rng)


def _strands(face: FaceInPicture, rng: np.random.Generator) -> Shape:
    """Thin bent lines in one direction."""
    cover = np.zeros((face.size, face.size), np.uint8)
    start = face.middle + rng.uniform(-1.0, 1.0, 2) * face.reach * (1.0, 0.4) - (0.0, face.reach)
    heading, bend = rng.uniform(0.6, 2.5), rng.normal(0.0, 0.6)
    step = np.linspace(0.0, rng.uniform(0.8, 2.2), 14)
    for _ in range(rng.integers(3, 28)):
        turned = heading + rng.normal(0.0, 0.08) + (bend + rng.normal(0.0, 0.1)) * step
        path = np.cumsum(np.stack([np.cos(turned), np.sin(turned)], 1) * face.reach * step[1], axis=0)
        origin = start + rng.normal(0.0, 0.09, 2) * face.reach
        line = np.round((path + origin) * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(cover, [line], False, 255, max(1, round(face.size / 300)), cv2.LINE_AA, SHIFT)
    tone = rng.uniform(0.01, 0.35) * np.array([1.0, 0.75, 0.5]) ** rng.uniform(0.0, 1.5)
    return Shape(cover.astype(np.float32) * np.float32(rng.uniform(0.7, 1.0) / 255.0), tone.astype(np.float32))


def _mask(face: FaceInPicture, rng: np.random.Generator) -> Shape:
    """A cloth or a paper mask over nose or mouth and chin, or a scarf, with folds."""
    grown = face.lower.mean(0) + (face.lower - face.lower.mean(0)) * rng.uniform(0.9, 1.15, (1, 2))
    height = np.zeros((face.size, face.size), np.float32)
    cv2.fillConvexPoly(height, np.round(grown).astype(np.int32), 1.0)
    height = cv2.distanceTransform((height > 0).astype(np.uint8), cv2.DIST_L2, 3) / np.float32(0.3 * face.reach)
    y, x = np.mgrid[0 : face.size, 0 : face.size].astype(np.float32) / face.reach
    angle, frequency = rng.normal(0.0, 0.4), rng.uniform(5.0, 25.0)
    folds = np.sin((y * np.cos(angle) + x * np.sin(angle)) * frequency) * np.float32(rng.uniform(0.0, 0.25))
    return _solid(height, _any_colour(rng) * 0.9, rng, folds)


def _held(face: FaceInPicture, rng: np.random.Generator) -> Shape:
    """A round or boxy thing on a stem from below: a microphone, a cup, a telephone, a flower."""
    height = np.zeros((face.size, face.size), np.float32)
    top = face.middle + face.reach * np.array([rng.uniform(-0.9, 0.9), rng.uniform(0.3, 1.0)])
    below = top + face.reach * np.array([rng.normal(0.0, 0.5), 3.0])
    _stroke(height, top, below, face.reach * rng.uniform(0.04, 0.15))
    if rng.random() < 0.5:
        _stroke(height, top, top + rng.normal(0.0, 3.0, 2), face.reach * rng.uniform(0.15, 0.4))
    else:
        half = face.reach * rng.uniform(0.15, 0.5, 2)
        box = cv2.boxPoints((tuple(map(float, top)), tuple(map(float, 2 * half)), float(rng.normal(0.0, 25.0))))
        cv2.fillConvexPoly(height, np.round(box).astype(np.int32), 0.8)
    return _solid(height, _any_colour(rng), rng)


def _edge(face: FaceInPicture, rng: np.random.Generator) -> Shape:
    """Something large that reaches into the picture from a side: a shoulder, a door, a leaf, a book."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    outward = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-outward[1], outward[0]])
    place = face.middle + outward * face.reach * rng.uniform(0.35, 1.0)
    rim = np.linspace(-3.0, 3.0, 25)[:, None]
    bulge = np.cos(rim * rng.uniform(0.2, 2.0) + rng.uniform(-2.0, 2.0)) * rng.uniform(0.0, 0.35)
    curve = place + across * rim * face.reach - outward * bulge * face.reach
    corners = np.concatenate([curve, curve[::-1] + outward * 6.0 * face.reach])
    height = np.zeros((face.size, face.size), np.float32)
    cv2.fillPoly(height, [np.round(corners * (1 << SHIFT)).astype(np.int32)], 1.0, cv2.LINE_8, SHIFT)
    height = cv2.distanceTransform((height > 0).astype(np.uint8), cv2.DIST_L2, 3) / np.float32(0.4 * face.reach)
    return _solid(height, _any_colour(rng), rng)


def _writing(face: FaceInPicture, rng: np.random.Generator) -> Shape:
    """Letters over the picture, partly see-through, as on stock photos and captions."""
    cover = np.zeros((face.size, face.size), np.uint8)
    scale = face.size / 320.0 * rng.uniform(0.5, 1.6)
    font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX]))
    for _ in range(rng.integers(1, 4)):
        text = "".join(rng.choice(list(LETTERS), int(rng.integers(4, 22))))
        place = (int(rng.uniform(-0.1, 0.5) * face.size), int(rng.uniform(0.1, 1.0) * face.size))
        cv2.putText(cover, text, place, font, scale, 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((face.size / 2, face.size / 2), float(rng.normal(0.0, 15.0)), 1.0)
    cover = cv2.warpAffine(cover, turn, (face.size, face.size))
    return Shape(cover.astype(np.float32) * np.float32(rng.uniform(0.4, 1.0) / 255.0), _any_colour(rng))


def _stroke(height: np.ndarray, start: np.ndarray, stop: np.ndarray, radius: float) -> None:
    """Raise a height map (S, S) by a round bar from start to stop: 1 on its axis, 0 at its rim."""
    y, x = np.mgrid[0 : len(height), 0 : len(height)].astype(np.float32)
    along = stop - start
    share = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(float(along @ along), 1e-6)
    share = share.clip(0.0, 1.0)
    away = np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
    np.maximum(height, (1.0 - (away / np.float32(radius)) ** 2).clip(0.0), out=height)


def _solid(height: np.ndarray, colour: np.ndarray, rng: np.random.Generator, folds: np.ndarray | float = 0.0) -> Shape:
    """Shade a height map, 0 outside and about 1 in the middle, by light from one side, and give it a soft rim."""
    size = len(height)
    grain = cv2.resize(rng.standard_normal((24, 24), dtype=np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    relief = cv2.GaussianBlur(np.sqrt(height.clip(0.0, 1.0)) * np.float32(0.12 * size), (0, 0), 1.2)
    slope_x, slope_y = cv2.Sobel(relief, cv2.CV_32F, 1, 0) / 8.0, cv2.Sobel(relief, cv2.CV_32F, 0, 1) / 8.0
    angle = rng.uniform(-np.pi, 0.0)
    facing = (slope_x * np.cos(angle) + slope_y * np.sin(angle)) / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    brightness = 0.75 - 0.45 * facing + folds + np.float32(rng.uniform(0.0, 0.12)) * grain
    cover = cv2.GaussianBlur((height > 0.0).astype(np.float32), (0, 0), max(0.5, size / 400.0))
    return Shape(cover, (brightness.clip(0.05, 1.5)[..., None] * colour).astype(np.float32))


def _any_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) float32 linear colour, dark as often as light."""
    return (rng.uniform(0.1, 0.95) ** 2 * np.exp(rng.normal(0.0, 0.35, 3))).clip(0.0, 1.0).astype(np.float32)


Kind = Callable[[FaceInPicture, np.random.Generator], Shape]

KINDS: tuple[Kind, ...] = (_hand, _strands, _mask, _held, _edge, _writing)
SHARES = (0.24, 0.16, 0.16, 0.18, 0.14, 0.12)
"""Of the occluders, by kind."""
