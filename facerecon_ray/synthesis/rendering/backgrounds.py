"""Backgrounds: pictures made by the project, or parts of the user's own.

The made ones are what lies behind people in photos as far as a network sees it: plain and shaded walls, rooms in
perspective, shelves and bricks, leaves, lights out of focus, clutter, smooth noise. Each is a function of its seed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.synthesis import BackgroundSettings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.storage.input_files import fingerprint, input_files
from facerecon_ray.storage.layout import CARD
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.uris import PHOTO_SUFFIXES, is_photo_name
from facerecon_ray.synthesis.rendering.background_scenes import make_background

KEPT_SIZE = 640
"""Pixels of the shorter side to which the user's pictures are shrunk while they wait for further use."""

KEPT_PICTURES = 48

READING = ReadSettings(max_side=4 * KEPT_SIZE)


@dataclass(frozen=True)
class Collection:
    """What a folder with pictures holds.

    fingerprint  changes with the names and the contents of the pictures
    pictures     how many there are
    damaged      how many of them cannot be read
    """

    fingerprint: str
    pictures: int
    damaged: int


class Backgrounds:
    """Draws backgrounds.

    Parameters
    ----------
    settings : of a folder with pictures, perhaps
    written : places that the job writes to; nothing in them is a background

    Raises
    ------
    InputError
        when the settings name a folder that does not exist or holds no pictures
    """

    def __init__(self, settings: BackgroundSettings, written: tuple[str, ...] = ()) -> None:
        self._folder = settings.folder
        self._folder_share = settings.folder_share if settings.folder else 0.0
        self._paths = _pictures_in(settings.folder, written) if settings.folder else []

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
            when no file of the folder can be read as a picture
        """
        rng = np.random.default_rng(seed)
        if rng.random() < self._folder_share:
            return _cutting(self._drawn(rng), size, rng)
        return make_background(size, rng)

    def collection(self) -> Collection | None:
        """What the folder holds, found out by reading all of it; None without a folder.

        Raises
        ------
        InputError
            when none of its pictures can be read
        """
        if self._folder is None:
            return None
        store = open_store(self._folder)
        names = [str(path.relative_to(store.uri)) for path in self._paths]
        with ThreadPoolExecutor(os.cpu_count()) as readers:
            damaged = sum(picture is None for picture in readers.map(_decoded, self._paths))
        if damaged == len(names):
            raise InputError(f"backgrounds: none of the {damaged} pictures in {self._folder} can be read")
        return Collection(fingerprint(store, names), len(names), damaged)

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        """A picture of the folder; in place of a damaged one another is drawn."""
        paths = list(self._paths)
        while paths:
            picture = _read(paths.pop(rng.integers(len(paths))))
            if picture is not None:
                return picture
        raise InputError(f"backgrounds: none of the {len(self._paths)} pictures in {self._folder} can be read")


def _pictures_in(folder: Path, written: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"backgrounds: {folder} is no folder; name a folder with pictures, or leave it out")
    names = (found.name for found in input_files(open_store(folder), written, CARD))
    paths = sorted(folder / name for name in names if is_photo_name(name))
    if not paths:
        endings = ", ".join(sorted(PHOTO_SUFFIXES))
        raise InputError(f"backgrounds: no pictures in {folder}; expected files that end in {endings}")
    return paths


@lru_cache(maxsize=KEPT_PICTURES)
def _read(path: Path) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB, shrunk, None where it cannot be read; callers must not write to it."""
    picture = _decoded(path)
    if picture is None:
        return None
    share = KEPT_SIZE / min(picture.shape[:2])
    if share < 1.0:
        picture = cv2.resize(picture, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return picture


def _decoded(path: Path) -> np.ndarray | None:
    try:
        return decode_photo(path.read_bytes(), READING).pixels
    except (OSError, PhotoError):
        return None


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
