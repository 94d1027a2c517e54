"""Meshes made of rows of the manifest and their photos, as the job that wrote the rows makes them."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch

from facerecon_ray.config.reconstruct import CropSettings, ExportSettings, ReadSettings, ReconstructSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import PhotoError
from facerecon_ray.networks.face_detectors import side_to_decode
from facerecon_ray.stages.crop import cut_faces
from facerecon_ray.stages.export import Exporter
from facerecon_ray.stages.read import Reader
from facerecon_ray.stages.reconstruct import Reconstructor
from facerecon_ray.stages.stage import describe_failure
from facerecon_ray.storage.arrow_columns import CAMERA
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.photo_file import decode_photo

MADE_OF = [
    *("photo_uri", "photo_width", "photo_height", "photo_sha256", "face_index", "crop_transform", "pose", "camera"),
    *("shape", "expression"),
]
"""Columns of the manifest of which a mesh is made."""


@dataclass(frozen=True)
class MeshRecipe:
    """How meshes are made, and where they go.

    read        limits of photos
    crop        how large the job decoded them, and how fine textures are
    export      format and topology
    face_model  with which the faces were fitted
    output      folder or s3://bucket/prefix where the meshes go
    s3          how it and the photos are reached
    """

    read: ReadSettings
    crop: CropSettings
    export: ExportSettings
    face_model: Path | None
    output: str
    s3: S3Settings


class MeshMaker:
    """Loads the face model once.

    Raises
    ------
    AssetError
        when it is missing or of another kind
    """

    def __init__(self, recipe: MeshRecipe) -> None:
        self._recipe = recipe
        self._read = Reader(recipe.read, recipe.s3)
        self._reconstruct = Reconstructor(ReconstructSettings(device="cpu"), recipe.face_model)
        self._export = Exporter(recipe.export, recipe.face_model)

    def __call__(self, rows: pa.Table) -> list[bytes | str]:
        """The mesh of each row, or the reason why there is none.

        Parameters
        ----------
        rows : MADE_OF
        """
        uris = rows["photo_uri"].to_pylist()
        photos = self._read({"photo_uri": np.array(list(dict.fromkeys(uris)), object)})
        found: list[bytes | str] = [""] * len(rows)
        for number, uri in enumerate(photos["photo_uri"]):
            photo = {name: values[number] for name, values in photos.items()}
            index = [row for row, name in enumerate(uris) if name == uri]
            for row, mesh in zip(index, self._of_photo(rows.take(pa.array(index)), photo), strict=True):
                found[row] = mesh
        return found

    def _of_photo(self, faces: pa.Table, read: dict[str, Any]) -> Sequence[bytes | str]:
        """Meshes of the faces in a photo that was read, or reasons."""
        try:
            if read["error"]:
                raise PhotoError(read["error"])
            if faces["photo_sha256"][0].as_py() not in (None, read["photo_sha256"]):
                raise PhotoError("the photo is another one than the job read")
            crop = self._recipe.crop
            photo = decode_photo(read["photo_bytes"], self._recipe.read, partial(side_to_decode, settings=crop))
            width, height = (faces[name][0].as_py() for name in ("photo_width", "photo_height"))
            if (photo.width, photo.height) != (width, height):
                raise PhotoError(f"the photo has {photo.width} x {photo.height} pixels now, not {width} x {height}")
            batch = {**_arrays(faces), **cut_faces(photo, _floats(faces, "crop_transform"), crop.texture_side)}
            return self._export.files(batch | self._reconstruct.process(batch))
        except Exception as error:  # noqa: BLE001 - whatever one photo does is said of its rows
            return [describe_failure(Exporter.name, error)] * len(faces)


def _arrays(faces: pa.Table) -> dict[str, np.ndarray]:
    """Columns of the stages, of the faces of a photo."""
    camera = [[place[name] for name in CAMERA] for place in faces["camera"].to_pylist()]
    pose = [[angle[name] for name in ("yaw", "pitch", "roll")] for angle in faces["pose"].to_pylist()]
    return {
        **{name: np.array(faces[name].to_pylist()) for name in ("photo_width", "photo_height")},
        **{name: _floats(faces, name) for name in ("shape", "expression")},
        "pose": np.array(pose, np.float32),
        "camera": np.array(camera, np.float32),
    }


def _floats(faces: pa.Table, name: str) -> np.ndarray:
    return np.array(faces[name].to_pylist(), np.float32)


def make_meshes(recipe: MeshRecipe, rows: pa.Table, names: Sequence[str]) -> list[str]:
    """Make the meshes of rows and write them under names in the output; for each "", or why there is none."""
    maker, output = _loaded(recipe)
    reasons = []
    for name, mesh in zip(names, maker(rows), strict=True):
        if isinstance(mesh, bytes):
            output.write(name, mesh)
        reasons.append("" if isinstance(mesh, bytes) else mesh)
    return reasons


def begin_worker() -> None:
    """In a process that makes meshes beside others: one thread, and Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


@lru_cache(maxsize=1)
def _loaded(recipe: MeshRecipe) -> tuple[MeshMaker, OutputFolder]:
    return MeshMaker(recipe), OutputFolder(recipe.output, recipe.s3)
