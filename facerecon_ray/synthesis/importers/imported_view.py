"""What an import gives: pictures of faces with their true meshes, in one form whatever the files were."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch

from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.storage.photos.photo_file import UNSCALED, decode_photo

LEAST_SIDE = 16


@dataclass(frozen=True)
class ImportSource:
    """Files that belong together.

    subject  who they show; all sources of a subject belong into the same split
    name     unique among the sources
    files    the pictures, relative to the imported folder
    """

    subject: str
    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class ImportedView:
    """One picture with the truth about the face in it.

    name        its file, relative to the imported folder
    image       (H, W, 3) uint8 RGB
    head        (1, N, 3) float32 the face model's vertices on this head, model frame, metres
    camera      the one camera that shows it, pixels of the image
    attributes  what the files say about the picture
    sides       pictures of the same photo at other yaws, where this is the frontal one of them
    """

    name: str
    image: np.ndarray = field(repr=False)
    head: torch.Tensor = field(repr=False)
    camera: Camera
    attributes: dict[str, str | float]
    sides: tuple["ImportedView", ...] = field(default=(), repr=False)

    @property
    def pose(self) -> np.ndarray:
        """(3,) yaw, pitch, roll in degrees."""
        angles: np.ndarray = self.camera.angles[0].numpy()
        return angles

    @property
    def vertices(self) -> np.ndarray:
        """(N, 3) the face model's vertices in the image frame, pixels of the image."""
        points: np.ndarray = self.camera.project(self.head)[0].numpy()
        return points


@dataclass(frozen=True)
class ImportFailure:
    """A file that cannot be used, and why, in one sentence that names it."""

    name: str
    reason: str


class Importer(Protocol):
    """Reads one kind of files; a source's views depend on its files alone.

    name   kind of the files
    model  the face model to which the heads belong
    """

    name: ClassVar[str]
    model: FaceModel

    def sources(self) -> list[ImportSource]:
        """Everything that there is to import, in a fixed order.

        Raises
        ------
        InputError
            when the folder has not the expected layout
        """

    def views(self, source: ImportSource) -> Iterator[ImportedView | ImportFailure]:
        """Each file of a source as a view, or as the reason why it is none."""


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Raises
    ------
    PhotoError
        when there is no such file, or it is no picture of at least 16 x 16 pixels
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror}; a picture was expected") from None
    try:
        picture = decode_photo(data, UNSCALED).pixels
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}; a picture was expected") from None
    if min(picture.shape[:2]) < LEAST_SIDE:
        raise PhotoError(f"{path}: a picture of at least {LEAST_SIDE} x {LEAST_SIDE} pixels was expected")
    return picture
