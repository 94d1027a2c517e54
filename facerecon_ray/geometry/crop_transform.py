"""The crop rule: which square of a photo a face's crop shows, from its 68 landmarks; the same for training data.

Transforms are (..., 2, 3) affine matrices between pixel coordinates with pixel centres at +0.5. They scale, move and,
where a face is rolled, turn: the photo turns by the roll the other way, and in the crop the face stands upright.
"""

import math

import cv2
import numpy as np

CROP_SIZE = 256
CROP_MARGIN = 1.75
CROP_RISE = 0.1

DETAIL_STEP = 32
ROUNDING = 1e-3


def crop_transform(landmarks: np.ndarray, roll: np.ndarray | float = 0.0) -> np.ndarray:
    """Square around a face: its landmark box, 1.75 times as large and moved up by a tenth of its size.

    Parameters
    ----------
    landmarks : (..., 68, 2) photo pixels
    roll : (...) of the faces, degrees; landmark box and square are turned by it

    Returns
    -------
    (..., 2, 3) float64 photo pixels to crop pixels
    """
    upright = turn(-np.asarray(roll))
    points = np.asarray(landmarks, np.float64) @ np.swapaxes(upright, -1, -2)
    low, high = points.min(-2), points.max(-2)
    size = (high - low).max(-1, keepdims=True)
    centre = (low + high) / 2 - size * (0.0, CROP_RISE)
    return _crop_around(upright, centre, CROP_SIZE / (CROP_MARGIN * size), CROP_SIZE)


def square_transform(boxes: np.ndarray, roll: np.ndarray | float = 0.0, side: int = CROP_SIZE) -> np.ndarray:
    """Crop that shows a box.

    Parameters
    ----------
    boxes : (..., 4) x0, y0, x1, y1 in photo pixels; the crop is as large as the mean of their sides
    roll : (...) degrees by which the boxes are turned about their middles
    side : of the crop, pixels

    Returns
    -------
    (..., 2, 3) float64 photo pixels to crop pixels
    """
    low, high = boxes[..., :2].astype(np.float64), boxes[..., 2:].astype(np.float64)
    upright = turn(-np.asarray(roll))
    centre = (upright @ ((low + high) / 2)[..., None])[..., 0]
    return _crop_around(upright, centre, side / (high - low).mean(-1, keepdims=True), side)


def turn(angle: np.ndarray | float) -> np.ndarray:
    """(..., 2, 2) matrices that turn pixel coordinates by angles (...), degrees, clockwise in the picture."""
    radians = np.deg2rad(np.asarray(angle, np.float64))
    cos, sin = np.cos(radians), np.sin(radians)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def roll_of_transform(transform: np.ndarray) -> np.ndarray:
    """Roll in the photo of a face that stands upright in its crop.

    A photo that was scaled to whole pixels is not scaled alike in both directions: the turn is that of the nearest
    rotation.

    Parameters
    ----------
    transform : (..., 2, 3) photo pixels to crop pixels

    Returns
    -------
    (...) degrees, -180 to 180; 0 where the crop is axis-aligned
    """
    (a, b), (c, d) = np.moveaxis(np.asarray(transform, np.float64)[..., :2], (-2, -1), (0, 1))
    return np.rad2deg(np.arctan2(b - c, a + d))


def transform_beside(transform: np.ndarray, face: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Square of a photo of the same head in another pose that belongs beside a crop.

    The rotate stage's rule: the scale stays, and so does the middle of the face region.

    Parameters
    ----------
    transform : (..., 2, 3) photo pixels to crop pixels
    face : (..., M, 2 or more) the face region's vertices in the photo, pixels
    turned : (..., M, 2 or more) the same vertices in the other photo, pixels

    Returns
    -------
    (..., 2, 3) float64 pixels of the other photo to crop pixels
    """
    beside = np.array(transform, np.float64)
    middle, moved = (apply_transform(beside, _middle(points[..., :2])) for points in (face, turned))
    beside[..., 2] += (middle - moved)[..., 0, :]
    return beside


def apply_transform(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (..., N, 2) by transforms (..., 2, 3)."""
    return points @ np.swapaxes(transform[..., :2], -1, -2) + transform[..., None, :, 2]


def invert_transform(transform: np.ndarray) -> np.ndarray:
    """Inverse transforms, (..., 2, 3) float64."""
    linear = np.linalg.inv(np.asarray(transform[..., :2], np.float64))
    return np.concatenate([linear, -linear @ transform[..., 2:]], -1)


def photo_bounds(transform: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Where the photo lies in its crops: beyond that they repeat its border, which shows nothing.

    Parameters
    ----------
    transform : (..., 2, 3) photo pixels to crop pixels
    width, height : (...) of the photos, pixels

    Returns
    -------
    (..., 4, 3) float32 a, b, c of the photo's left, top, right and bottom border: a x + b y + c is how far x, y lies
        inside of it, crop pixels
    """
    to_photo = invert_transform(np.asarray(transform, np.float64))
    distance = to_photo / np.linalg.norm(to_photo[..., :2], axis=-1, keepdims=True)
    size = np.stack([width, height], -1) / np.linalg.norm(to_photo[..., :2], axis=-1)
    opposite = -distance
    opposite[..., 2] += size
    return np.concatenate([distance, opposite], -2).astype(np.float32)


def cut_crop(photo: np.ndarray, transform: np.ndarray, side: int = CROP_SIZE) -> np.ndarray:
    """Resample the square that a transform shows.

    A photo that is shrunk is averaged over the area of each crop pixel. Beyond the photo its border is repeated.

    Parameters
    ----------
    photo : (H, W, 3) uint8
    transform : (2, 3) photo pixels to crop pixels
    side : of the crop, pixels

    Returns
    -------
    (side, side, 3) uint8
    """
    scale = math.sqrt(abs(np.linalg.det(transform[:, :2])))
    oversampling = max(1, math.ceil(1 / scale))
    matrix = np.asarray(transform, np.float64) * oversampling
    # OpenCV puts pixel centres at whole numbers.
    matrix[:, 2] += matrix[:, :2].sum(-1) / 2 - 0.5
    size = (side * oversampling, side * oversampling)
    fine = cv2.warpAffine(photo, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return fine if oversampling == 1 else cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)


def detail_side(transform: np.ndarray) -> int:
    """Pixels that a photo has on a side of the square that a crop shows, as a multiple of `DETAIL_STEP`.

    Parameters
    ----------
    transform : (2, 3) photo pixels to crop pixels
    """
    of_photo = CROP_SIZE / math.sqrt(abs(np.linalg.det(transform[:, :2])))
    return math.ceil(of_photo / DETAIL_STEP - ROUNDING) * DETAIL_STEP


def _crop_around(upright: np.ndarray, centre: np.ndarray, scale: np.ndarray, side: int) -> np.ndarray:
    """(..., 2, 3) that turns by (..., 2, 2), then scales by (..., 1); centres (..., 2) are turned already."""
    linear = scale[..., None] * np.broadcast_to(upright, (*scale.shape[:-1], 2, 2))
    return np.concatenate([linear, (side / 2 - scale * centre)[..., None]], -1)


def _middle(points: np.ndarray) -> np.ndarray:
    """(..., 1, 2) middle of the bounding box of points (..., N, 2)."""
    return (points.max(-2, keepdims=True) + points.min(-2, keepdims=True)) / 2
