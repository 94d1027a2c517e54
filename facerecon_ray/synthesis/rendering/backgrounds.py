"""Backgrounds: pictures made by the project, or parts of the user's own.

The made ones are what lies behind people in photos as far as a network sees it: plain and shaded walls, rooms in
perspective, shelves and bricks, leaves, lights out of focus, clutter, smooth noise. Each is a function of its seed.
"""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.synthesis import BackgroundSettings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.uris import PHOTO_SUFFIXES, is_photo_name
from facerecon_ray.synthesis.rendering.background_scenes import make_background

KEPT_SIZE = 640
"""Pixels of the shorter side to which the user's pictures are shrunk while they wait for further use."""

KEPT_PICTURES = 48

READING = ReadSettings(max_side=4 * KEPT_SIZE)


class Backgrounds:
    """Draws backgrounds.

    Raises
    ------
    InputError
        when the settings name a folder that does not exist or holds no pictures
    """

    def __init__(self, settings: BackgroundSettings) -> None:
        self._folder_share = settings.folder_share if settings.folder else 0.0
        self._paths = _pictures_in(settings.folder) if settings.folder else []

    def picture(self, seed: int, size: int) -> np.ndarray:
        """One background.

        Parameters
        ----------
        seed : decides everything
        size : pixels

        Returns
        -------
        (size, size, 3) uint8 RGB

        Raises
        ------
        InputError
            when a file of the folder cannot be read as a picture
        """
        rng = np.random.default_rng(seed)
        if rng.random() < self._folder_share:
            return _cutting(_read(self._paths[rng.integers(len(self._paths))]), size, rng)
        return make_background(size, rng)


def _pictures_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"backgrounds: {folder} is no folder; name a folder with pictures, or leave it out")
    paths = sorted(path for path in folder.rglob("*") if is_photo_name(path.name) and path.is_file())
    if not paths:
        endings = ", ".join(sorted(PHOTO_SUFFIXES))
        raise InputError(f"backgrounds: no pictures in {folder}; expected files that end in {endings}")
    return paths


@lru_cache(maxsize=KEPT_PICTURES)
def _read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, shrunk; callers must not write to it."""
    try:
        picture = decode_photo(path.read_bytes(), READING).pixels
    except (OSError, PhotoError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"backgrounds: {path}: {reason}; remove it from the folder") from None
    share = KEPT_SIZE / min(picture.shape[:2])
    if share < 1.0:
        picture = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return picture


def _cutting(picture: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of a picture, mirrored or not, at least half as large as the whole."""
    height, width, _ = picture.shape
    side = max(1, round(min(height, width) * rng.uniform(0.5, 1.0)))
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = picture[top : top + side, left : left + side]
    square = square[:, ::-1] if rng.random() < 0.5 else square
    shrinking = side > size
    return cv2.resize(
        np.ascontiguousarray(square), (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )
