"""Pairs of photos to crops of the face that both photos show."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.geometry.crop_transform import CROP_SIZE, apply_transform
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.networks.face_descriptor import FaceDescriber
from facerecon_ray.stages.chain import CROP
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.stage import FAILED, OK, Batch, Column, attempt, describe_failure, select
from facerecon_ray.stages.two_photos.side import as_side, side_of, with_side_errors
from facerecon_ray.storage.schema import time_column

LEAST_SIZE = 0.5
"""Share of the largest face's size in its photo that another one must have to be the sitter's: smaller ones stand
behind, and who they are cannot be told as surely."""


class TwoPhotoCropper:
    """Find the face that both photos of a row show.

    Of faces at least half as large as the largest of their photo, those two are taken that the face recognition
    network finds most alike.

    Input columns    photo_uri, photo_bytes, side_photo_uri, side_photo_bytes, status, error
    Output columns   those of `Cropper`, one row a pair, of the front photo; photo_width, photo_height, focal_length,
                     crop, crop_transform and landmarks of the side photo with `side_` before their names;
                     side_distance    of the two faces' descriptors; less than 0.6 is one person's, mostly
    """

    name: ClassVar[str] = CROP.name
    outputs: ClassVar[dict[str, Column]] = {
        **Cropper.outputs,
        "side_photo_width": Column(np.int32),
        "side_photo_height": Column(np.int32),
        "side_focal_length": Column(np.float32),
        "side_crop": Column(np.uint8, (CROP_SIZE, CROP_SIZE, 3)),
        "side_crop_transform": Column(np.float32, (2, 3)),
        "side_landmarks": Column(np.float32, (LANDMARKS, 2)),
        "side_distance": Column(np.float32),
    }
    drops: ClassVar[tuple[str, ...]] = ("photo_bytes", "side_photo_bytes")

    def __init__(
        self,
        settings: CropSettings,
        read: ReadSettings,
        fitter: Path | None = None,
        face_model: FaceModel | Path | None = None,
    ) -> None:
        """Load the detector, what finds landmarks, and the face recognition network.

        Raises
        ------
        AssetError
            when a file is missing or of another kind
        """
        self._crop = Cropper(settings, read, fitter, face_model)
        model = FaceModel.open(face_model)
        self._device = resolve_device(settings.device)
        self._describe = FaceDescriber(model.to(self._device))

    def __call__(self, batch: Batch) -> Batch:
        """Turn a batch of pairs of photos into as many faces."""
        rows = np.arange(len(batch["status"]))
        asked = {name: batch[name] for name in ("status", "error")}
        fronts = self._crop({**asked, "row": rows, "photo_bytes": batch["photo_bytes"]})
        sides = self._crop({**asked, "row": rows, "photo_bytes": side_of(batch)["photo_bytes"]})
        front, side = _largest(fronts), _largest(sides)
        status, error = with_side_errors(
            fronts["status"][front], fronts["error"][front], sides["status"][side], sides["error"][side]
        )
        distance = np.zeros(len(rows), np.float32)
        seconds = np.zeros(len(rows), np.float32)

        def match(wanted: Batch) -> Batch:
            return self._match(fronts, sides, wanted["row"])

        for index, outcome, spent in attempt(match, {"row": rows}, np.flatnonzero(status == OK)):
            seconds[index] = spent / len(index)
            if isinstance(outcome, Exception):
                status[index], error[index] = FAILED, describe_failure(self.name, outcome)
                continue
            front[index], side[index], distance[index] = outcome["front"], outcome["side"], outcome["distance"]
        kept = {name: values for name, values in batch.items() if name not in self.drops}
        of_side = ("photo_width", "photo_height", "focal_length", "crop", "crop_transform", "landmarks")
        return {
            **kept,
            **{name: fronts[name][front] for name in Cropper.outputs},
            "face_count": np.ones(len(rows), np.int32),
            "face_index": np.zeros(len(rows), np.int32),
            **as_side({name: sides[name][side] for name in of_side}),
            "side_distance": distance,
            "status": status,
            "error": error,
            time_column(self.name): (seconds * 1000 + _spent(fronts) + _spent(sides)).astype(np.float32),
        }

    def _match(self, fronts: Batch, sides: Batch, rows: np.ndarray) -> Batch:
        """Numbers of the faces of some rows' front and side photos, and how far apart their descriptors are."""
        found = []
        for row in rows:
            front, side = _candidates(fronts, row), _candidates(sides, row)
            apart = torch.cdist(self._descriptors(fronts, front)[None], self._descriptors(sides, side)[None])[0]
            best = np.unravel_index(int(apart.argmin()), apart.shape)
            found.append((front[best[0]], side[best[1]], float(apart.min())))
        return {
            name: np.array(values)
            for name, values in zip(("front", "side", "distance"), zip(*found, strict=True), strict=True)
        }

    @torch.no_grad()
    def _descriptors(self, faces: Batch, index: np.ndarray) -> torch.Tensor:
        """(F, 128) of some faces."""
        chosen = select({name: faces[name] for name in ("crop", "crop_transform", "landmarks")}, index)
        pictures = torch.from_numpy(chosen["crop"]).to(self._device).permute(0, 3, 1, 2).float()
        places = apply_transform(chosen["crop_transform"], chosen["landmarks"]).astype(np.float32)
        return self._describe(pictures, torch.from_numpy(places).to(self._device))


def _size(faces: Batch) -> np.ndarray:
    """(F,) pixels, of the boxes."""
    return np.asarray(faces["bbox"][:, 2] - faces["bbox"][:, 0])


def _largest(faces: Batch) -> np.ndarray:
    """(B,) number of the largest face of each row's photo, or of its only line where it has none."""
    order = np.lexsort((-_size(faces), faces["row"]))
    first = np.unique(faces["row"][order], return_index=True)[1]
    return np.asarray(order[first])


def _candidates(faces: Batch, row: int) -> np.ndarray:
    """Numbers of the faces of a row's photo that may be the sitter's."""
    index, size = np.flatnonzero(faces["row"] == row), _size(faces)
    return np.asarray(index[size[index] >= LEAST_SIZE * size[index].max()])


def _spent(faces: Batch) -> np.ndarray:
    """(B,) milliseconds of each row's photo."""
    return np.bincount(faces["row"], faces[time_column(CROP.name)])
