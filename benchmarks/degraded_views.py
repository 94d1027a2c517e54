"""Views whose heads are known, spoilt as photos are: small, blurred, stored badly, covered, cut off by a border."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.networks.landmark_predictor import adjust_boxes
from facerecon_ray.stages.network_fitting import BOX_TO_CROP
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.pair_shards import read_pairs

UNTOUCHED = 0.15
"""Share of the views that stay as they are."""

COVERED, BLURRED, GRAINED, STORED, CUT = 0.3, 0.35, 0.2, 0.4, 0.25
"""Shares of the others to which that happens; they are independent of each other."""

FACE_PIXELS, BLURS, GRAIN, JPEG_QUALITY, CUTS = (14.0, 160.0), (0.01, 0.08), (3.0, 25.0), (8, 80), (0.03, 0.6)
"""Ranges: box size of the landmarks, pixels; standard deviation of the blur over it; grey values; JPEG's own; share of
the landmarks' box that is cut off."""

SHIFT, ZOOM = 0.04, 0.08
"""How far detectors' boxes are off: standard deviations of place and size, shares of the crop."""


@dataclass(frozen=True)
class DegradedView:
    """A photo and what is true in it.

    photo      (H, W, 3) uint8
    box        (4,) as a detector gives it, pixels
    landmarks  (68, 2) true ones, pixels
    yaw        degrees
    subject    number in the data set
    kinds      what was done to it
    """

    photo: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray
    yaw: float
    subject: int
    kinds: frozenset[str]


def degraded_views(data: str, limit: int, rng: np.random.Generator) -> Iterator[DegradedView]:
    """The first views of a data set that `facerecon synthesize` made, each spoilt at random."""
    count = 0
    for rows in read_pairs(open_store(data), None, "ok", ["crop", "pose", "landmarks_3d", "subject"]):
        for index, crop in enumerate(rows["crop"]):
            if count == limit:
                return
            count += 1
            cover = np.roll(rows["crop"][index - 1], rng.integers(CROP_SIZE, size=2), (0, 1))
            places = rows["landmarks_3d"][index, :, :2].astype(np.float64)
            yaw, subject = float(rows["pose"][index, 0]), int(rows["subject"][index])
            yield _degraded(crop, cover, places, yaw, subject, rng)


def _degraded(
    crop: np.ndarray, cover: np.ndarray, places: np.ndarray, yaw: float, subject: int, rng: np.random.Generator
) -> DegradedView:
    extent = np.ptp(places, axis=0)
    size = float(np.sqrt(extent.prod()))
    touched = rng.random() > UNTOUCHED
    kinds = {
        kind
        for kind, share in zip(
            ("covered", "blurred", "grained", "stored", "cut"), (COVERED, BLURRED, GRAINED, STORED, CUT), strict=True
        )
        if touched and rng.random() < share
    }
    photo = _covered(crop, cover, places, rng) if "covered" in kinds else crop
    if touched:
        wanted = min(size, _between(FACE_PIXELS, rng))
        side = max(8, round(CROP_SIZE * wanted / size))
        photo = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
        kinds.add("small" if wanted < 64 else "large")
    scale = len(photo) / CROP_SIZE
    if "blurred" in kinds:
        photo = cv2.GaussianBlur(photo, (0, 0), max(0.3, _between(BLURS, rng) * size * scale))
    if "grained" in kinds:
        grain = rng.normal(0.0, rng.uniform(*GRAIN), photo.shape)
        photo = (photo + grain).clip(0, 255).astype(np.uint8)
    if "stored" in kinds:
        file = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*JPEG_QUALITY))])[1]
        photo = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR))
    marks, box = places * scale, _box(rng) * scale
    if "cut" in kinds:
        photo, corner = _cut(photo, marks, rng)
        marks, box = marks - corner, box - np.tile(corner, 2)
    return DegradedView(np.ascontiguousarray(photo), box, marks, yaw, subject, frozenset(kinds))


def _covered(crop: np.ndarray, cover: np.ndarray, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The crop with a turned rectangle over some of the face, of one colour or a piece of another picture."""
    low, high = places.min(0), places.max(0)
    width, height = rng.uniform(0.25, 1.0, 2) * (high - low)
    x, y = rng.uniform(low, high)
    corners = cv2.boxPoints(((float(x), float(y)), (float(width), float(height)), float(rng.uniform(0, 180))))
    mask = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 255, cv2.LINE_AA)
    share = mask[..., None] / 255.0
    over = cover if rng.random() < 0.5 else rng.uniform(0, 255, 3)
    return (crop * (1 - share) + over * share).astype(np.uint8)


def _cut(photo: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The photo ending within the face, and its new corner (2,)."""
    low, high, share = marks.min(0), marks.max(0), rng.uniform(*CUTS)
    axis, first = rng.integers(2), rng.random() < 0.5
    begin, end = np.zeros(2, int), np.array(photo.shape[1::-1])
    if first:
        begin[axis] = int(low[axis] + share * (high - low)[axis])
    else:
        end[axis] = int(high[axis] - share * (high - low)[axis])
    return photo[begin[1] : end[1], begin[0] : end[0]], begin


def _box(rng: np.random.Generator) -> np.ndarray:
    """(4,) a detector's box for a crop, crop pixels."""
    right, down, growth = BOX_TO_CROP
    side = CROP_SIZE / growth * np.exp(ZOOM * np.clip(rng.standard_normal(), -2, 2))
    box = np.array([-0.5, -0.5, 0.5, 0.5]) * side + CROP_SIZE / 2
    moved = adjust_boxes(box, (-right, -down, 1.0))
    return moved + np.tile(SHIFT * CROP_SIZE * np.clip(rng.standard_normal(2), -2, 2), 2)


def _between(limits: tuple[float, float], rng: np.random.Generator) -> float:
    """Uniform in the logarithm."""
    return float(np.exp(rng.uniform(*np.log(limits))))
