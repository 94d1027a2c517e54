"""Photos to face crops: the one stage that changes the number of rows, from one a photo to one a face."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.crop_transform import CROP_SIZE, crop_transform, cut_crop, detail_side
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.stages.chain import CROP
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.stages.stage import FAILED, NO_FACE, OK, UNREADABLE, Batch, Column, attempt, describe_failure
from facerecon_ray.storage.pairs.pair_codec import pack_image
from facerecon_ray.storage.photos.photo_file import Photo, decode_photo
from facerecon_ray.storage.schema import time_column

NO_FACE_ERROR = "no face was found"

NO_PIXELS = np.zeros((0, 0, 3), np.uint8)
"""What is kept of a photo's when its faces are cut out."""


@dataclass
class _Work:
    """One photo on its way through the stage; `faces` holds the columns of its faces."""

    data: bytes | None
    status: str
    error: str
    seconds: float = 0.0
    photo: Photo | None = None
    detections: Detections | None = None
    faces: Batch | None = None


class Cropper:
    """Find every face in photos, with its landmarks and its crop.

    Input columns    photo_uri, photo_bytes, status, error
    Output columns   photo_uri, status, error, the columns of `outputs`, crop_ms; photo_bytes is dropped

    A photo with several faces becomes as many rows, the highest detection score first. A photo without a face, or one
    that cannot be used, is one row that says so. bbox, landmarks and crop_transform are in pixels of the upright
    original, whatever the photo was scaled to, and so is focal_length, 0 where the photo does not state it; a bbox may
    reach beyond the photo. A face stands upright in its crop, as far as the detector knows its roll. Where the photo
    is finer than the crop, detail is the same square with the photo's own pixels, as a JPEG.
    """

    name: ClassVar[str] = CROP.name
    outputs: ClassVar[dict[str, Column]] = {
        "photo_width": Column(np.int32),
        "photo_height": Column(np.int32),
        "focal_length": Column(np.float32),
        "face_count": Column(np.int32),
        "face_index": Column(np.int32),
        "bbox": Column(np.float32, (4,)),
        "detection_score": Column(np.float32),
        "crop": Column(np.uint8, (CROP_SIZE, CROP_SIZE, 3)),
        "crop_transform": Column(np.float32, (2, 3)),
        "detail": Column(bytes),
        "landmarks": Column(np.float32, (LANDMARKS, 2)),
    }
    drops: ClassVar[tuple[str, ...]] = ("photo_bytes",)

    def __init__(
        self,
        settings: CropSettings,
        read: ReadSettings,
        fitter: Path | None = None,
        face_model: FaceModel | Path | None = None,
    ) -> None:
        """Load the detector and what finds landmarks.

        Raises
        ------
        AssetError
            when a file is missing or of another kind
        """
        self._read, self._texture_side = read, settings.texture_side
        self._find = FaceFinder(settings, fitter, face_model)

    def __call__(self, batch: Batch) -> Batch:
        """Turn a batch of photos into a batch of faces."""
        columns = (batch["photo_bytes"], batch["status"], batch["error"])
        work = [_Work(*row) for row in zip(*columns, strict=True)]
        for start in range(0, len(work), self._find.photos_at_once):
            self._find_faces(work[start : start + self._find.photos_at_once])
        counts = [len(photo.faces["bbox"]) if photo.faces else 1 for photo in work]
        kept = {name: np.repeat(values, counts, axis=0) for name, values in batch.items() if name not in self.drops}
        parts = [self._rows(photo, count) for photo, count in zip(work, counts, strict=True)]
        return {**kept, **{name: np.concatenate([part[name] for part in parts]) for name in parts[0]}}

    def _find_faces(self, work: list[_Work]) -> None:
        """Everything up to the crops; the pixels of photos, which are large, are not kept."""
        for photo in work:
            _advance(self._decode, [photo])
        _advance(self._detect, work)
        for photo in work:
            _advance(self._cut, [photo])
            photo.data = None
            if photo.photo is not None:
                photo.photo = replace(photo.photo, pixels=NO_PIXELS)

    def _decode(self, work: list[_Work]) -> None:
        for photo in work:
            photo.photo = decode_photo(photo.data or b"", self._read, self._find.side_to_decode)

    def _detect(self, work: list[_Work]) -> None:
        found = self._find.detect([photo.photo.pixels for photo in work if photo.photo])
        for photo, detections in zip(work, found, strict=True):
            photo.detections = detections

    def _cut(self, work: list[_Work]) -> None:
        for photo in work:
            assert photo.photo is not None and photo.detections is not None
            if len(photo.detections.boxes) == 0:
                photo.status, photo.error = NO_FACE, NO_FACE_ERROR
            else:
                photo.faces = self._faces(photo.photo, photo.detections)

    def _faces(self, photo: Photo, found: Detections) -> Batch:
        landmarks, rolls = self._find.landmarks(photo.pixels, found.boxes, found.rolls)
        transforms = crop_transform(landmarks, rolls)
        x, y = photo.to_original
        transforms = (transforms / (x, y, 1.0)).astype(np.float32)
        return {
            "bbox": found.boxes * (x, y, x, y),
            "detection_score": found.scores,
            **cut_faces(photo, transforms, self._texture_side),
            "landmarks": landmarks * (x, y),
        }

    def _rows(self, photo: _Work, count: int) -> Batch:
        rows = {name: column.empty(count) for name, column in self.outputs.items()}
        for name, values in (photo.faces or {}).items():
            rows[name][:] = values
        if photo.photo is not None:
            rows["photo_width"][:], rows["photo_height"][:] = photo.photo.width, photo.photo.height
            rows["focal_length"][:] = photo.photo.focal_length
        rows["face_count"][:], rows["face_index"][:] = count, np.arange(count)
        rows["status"] = np.full(count, photo.status, dtype=object)
        rows["error"] = np.full(count, photo.error, dtype=object)
        rows[time_column(self.name)] = np.full(count, photo.seconds * 1000 / count, np.float32)
        return rows


def cut_faces(photo: Photo, transforms: np.ndarray, texture_side: int) -> Batch:
    """Columns crop, crop_transform and detail of the faces in a photo.

    Parameters
    ----------
    photo : as `Cropper` decodes it
    transforms : (F, 2, 3) float32 pixels of the upright original to crop pixels, as rows have them
    texture_side : most pixels on a side of detail
    """
    x, y = photo.to_original
    in_pixels = transforms.astype(np.float64) * (x, y, 1.0)
    details = [_detail(photo.pixels, transform, texture_side) for transform in in_pixels]
    return {
        "crop": np.stack([cut_crop(photo.pixels, transform) for transform in in_pixels]),
        "crop_transform": transforms,
        "detail": np.array(details, object),
    }


def _detail(pixels: np.ndarray, transform: np.ndarray, texture_side: int) -> bytes:
    """What a crop shows, finer, where the photo is finer; else nothing."""
    side = min(detail_side(transform), texture_side)
    if side <= CROP_SIZE:
        return b""
    return pack_image(cut_crop(pixels, transform * (side / CROP_SIZE), side), "jpeg")


def _advance(step: Callable[[list[_Work]], None], work: list[_Work]) -> None:
    """Run a step on the photos that are still ok; one that raises gets a status and an error."""

    def process(batch: Batch) -> Batch:
        step(list(batch["work"]))
        return batch

    ready = np.flatnonzero([photo.status == OK for photo in work])
    for index, outcome, seconds in attempt(process, {"work": np.array(work, dtype=object)}, ready):
        for photo in (work[i] for i in index):
            photo.seconds += seconds / len(index)
            if isinstance(outcome, Exception):
                photo.status = UNREADABLE if isinstance(outcome, PhotoError) else FAILED
                photo.error = describe_failure(Cropper.name, outcome)
