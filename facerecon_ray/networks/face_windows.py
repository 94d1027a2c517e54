"""Windows around places of a photo: upright, and enlarged or shrunk until a face there fits dlib's template."""

import math

import cv2
import numpy as np
import torch

from facerecon_ray.networks.dlib_models import MEAN_RGB
from facerecon_ray.networks.mmod import CELL_OFFSET, CELL_STRIDE, WINDOW, MmodDetector

WINDOW_SIDE = 144
"""Pixels: dlib's window of 80 and what its network sees around it. Over 110 faces in photos the scores in windows of
128, 144, 176 and 208 pixels are 0.07, 0.06, 0.02 and 0.01 from those in the whole photo, and all above 0."""

TOLERATED_SCALE = 1.15
"""Factor by which the size of a face may be off: 5 % of these faces are lost where it is 10 % too small or 20 % too
large, none where it is 10 % too large; of those turned by up to 40 degrees or shifted by 0.3 of their size 1 %."""

WINDOWS_AT_ONCE = 32


def cut_windows(photo: np.ndarray, centres: np.ndarray, sizes: np.ndarray, rolls: np.ndarray) -> np.ndarray:
    """Cut windows out of a photo; beyond the photo they have the mean colour, which is nothing to dlib's network.

    Parameters
    ----------
    photo : (H, W, 3) uint8 RGB
    centres : (K, 2) x and y, photo pixels
    sizes : (K,) sides of faces, photo pixels, which become 80
    rolls : (K,) degrees, clockwise in the image, which become 0

    Returns
    -------
    (K, 144, 144, 3) uint8
    """
    windows = np.zeros((len(centres), WINDOW_SIDE, WINDOW_SIDE, 3), np.uint8)
    for row, (centre, size, roll) in enumerate(zip(centres.tolist(), sizes.tolist(), rolls.tolist(), strict=True)):
        windows[row] = _cut(photo, centre, size, roll)
    return windows


def _cut(photo: np.ndarray, centre: list[float], size: float, roll: float) -> np.ndarray:
    part, origin, scale = _around(photo, centre, size)
    zoom = WINDOW / (size * scale)
    cosine, sine = zoom * math.cos(math.radians(roll)), zoom * math.sin(math.radians(roll))
    # OpenCV puts pixel centres at whole numbers.
    x, y = ((c - start) * scale - 0.5 for c, start in zip(centre, origin, strict=True))
    middle = WINDOW_SIDE / 2 - 0.5
    matrix = np.array(
        [[cosine, sine, middle - cosine * x - sine * y], [-sine, cosine, middle + sine * x - cosine * y]]
    )
    window: np.ndarray = cv2.warpAffine(
        part,
        matrix,
        (WINDOW_SIDE, WINDOW_SIDE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=MEAN_RGB,
    )
    return window


def _around(photo: np.ndarray, centre: list[float], size: float) -> tuple[np.ndarray, tuple[int, int], float]:
    """The part of a photo that a window may show, shrunk where the window is smaller; its origin and its scale."""
    reach = math.ceil(size * WINDOW_SIDE / WINDOW / math.sqrt(2)) + 2
    height, width = photo.shape[:2]
    left, top = (min(max(0, math.floor(c) - reach), side - 1) for c, side in zip(centre, (width, height), strict=True))
    right, bottom = math.ceil(centre[0]) + reach, math.ceil(centre[1]) + reach
    part = photo[top : max(bottom, top + 1), left : max(right, left + 1)]
    shrink = int(size / WINDOW)
    if shrink < 2:
        return part, (left, top), 1.0
    rows, columns = (max(shrink, side // shrink * shrink) for side in part.shape[:2])
    part = part[:rows, :columns]
    small = max(1, part.shape[1] // shrink), max(1, part.shape[0] // shrink)
    return cv2.resize(part, small, interpolation=cv2.INTER_AREA), (left, top), 1.0 / shrink


@torch.inference_mode()
def score_windows(
    network: MmodDetector, windows: np.ndarray, device: torch.device, number: torch.dtype = torch.float32
) -> tuple[np.ndarray, np.ndarray]:
    """What dlib's network says of windows.

    Parameters
    ----------
    network : on that device, for those numbers
    windows : (K, 144, 144, 3) uint8 RGB
    device : where it computes
    number : float32 or bfloat16

    Returns
    -------
    (K,) float32 the highest score in each window; and (K, 2) float32 its place from the window's middle, as a share of
    the face's side
    """
    scores, places = [np.zeros(0, np.float32)], [np.zeros((0, 2), np.float32)]
    for start in range(0, len(windows), WINDOWS_AT_ONCE):
        pixels = torch.from_numpy(windows[start : start + WINDOWS_AT_ONCE]).to(device)
        maps = network(pixels.permute(0, 3, 1, 2).to(number)).float()
        best, cells = maps.flatten(1).max(1)
        rows, columns = cells // maps.shape[2], cells % maps.shape[2]
        in_window = torch.stack([columns, rows], -1) * CELL_STRIDE + CELL_OFFSET + 0.5
        scores.append(best.cpu().numpy())
        places.append(((in_window - WINDOW_SIDE / 2) / WINDOW).cpu().numpy().astype(np.float32))
    return np.concatenate(scores), np.concatenate(places)
