"""The crop rule: which square of a photo a face's crop shows, from its 68 landmarks; the same for training data.

Transforms are (..., 2, 3) affine matrices between pixel coordinates with pixel centres at +0.5.
"""

import math

import cv2
import numpy as np

CROP_SIZE = 256
CROP_MARGIN = 1.75
CROP_RISE = 0.1


def crop_transform(landmarks: np.ndarray) -> np.ndarray:
    """Axis-aligned square around a face: its landmark box, 1.75 times as large and moved up by a tenth of its size.

    Parameters
    ----------
    landmarks : (..., 68, 2) photo pixels

    Returns
    -------
    (..., 2, 3) float64 photo pixels to crop pixels
    """
    points = np.asarray(landmarks, np.float64)
    low, high = points.min(-2), points.max(-2)
    size = (high - low).max(-1, keepdims=True)
    centre = (low + high) / 2 - size * (0.0, CROP_RISE)
    scale = CROP_SIZE / (CROP_MARGIN * size)
    transform = np.zeros((*size.shape[:-1], 2, 3))
    transform[..., 0, 0] = transform[..., 1, 1] = scale[..., 0]
    transform[..., 2] = CROP_SIZE / 2 - scale * centre
    return transform


def square_transform(boxes: np.ndarray) -> np.ndarray:
    """Crop that shows a box.

    Parameters
    ----------
    boxes : (..., 4) x0, y0, x1, y1 in photo pixels; the crop is as large as the mean of their sides

    Returns
    -------
    (..., 2, 3) float64 photo pixels to crop pixels
    """
    low, high = boxes[..., :2].astype(np.float64), boxes[..., 2:].astype(np.float64)
    scale = CROP_SIZE / (high - low).mean(-1)
    transform = np.zeros((*boxes.shape[:-1], 2, 3))
    transform[..., 0, 0] = transform[..., 1, 1] = scale
    transform[..., 2] = CROP_SIZE / 2 - scale[..., None] * (low + high) / 2
    return transform


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
    transform : (..., 2, 3) photo pixels to crop pixels, axis-aligned
    width, height : (...) of the photos, pixels

    Returns
    -------
    (..., 4) float32 x0, y0, x1, y1 in crop pixels
    """
    size = np.stack([width, height], -1).astype(np.float64)
    corners = apply_transform(np.asarray(transform, np.float64), np.stack([np.zeros_like(size), size], -2))
    return np.concatenate([corners[..., 0, :], corners[..., 1, :]], -1).astype(np.float32)


def cut_crop(photo: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Resample the square that a transform shows.

    A photo that is shrunk is averaged over the area of each crop pixel. Beyond the photo its border is repeated.

    Parameters
    ----------
    photo : (H, W, 3) uint8
    transform : (2, 3) photo pixels to crop pixels

    Returns
    -------
    (256, 256, 3) uint8
    """
    scale = math.sqrt(abs(np.linalg.det(transform[:, :2])))
    oversampling = max(1, math.ceil(1 / scale))
    matrix = np.asarray(transform, np.float64) * oversampling
    # OpenCV puts pixel centres at whole numbers.
    matrix[:, 2] += matrix[:, :2].sum(-1) / 2 - 0.5
    side = CROP_SIZE * oversampling
    fine = cv2.warpAffine(photo, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return fine if oversampling == 1 else cv2.resize(fine, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)


def _middle(points: np.ndarray) -> np.ndarray:
    """(..., 1, 2) middle of the bounding box of points (..., N, 2)."""
    return (points.max(-2, keepdims=True) + points.min(-2, keepdims=True)) / 2
