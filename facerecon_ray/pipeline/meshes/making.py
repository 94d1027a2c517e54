"""Meshes made of rows of the manifest and their photos, as the job that wrote the rows makes them."""

import signal
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch

from facerecon_ray.config.reconstruct import ChainSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.networks.face_detectors import side_to_decode
from facerecon_ray.stages.chain import EXPORT, READ, ChainPart, exporter, reconstructor
from facerecon_ray.stages.crop import cut_faces
from facerecon_ray.stages.stage import describe_failure
from facerecon_ray.storage.arrow_columns import CAMERA
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.photos.photo_file import decode_photo

MADE_OF = [
    *("photo_uri", "photo_width", "photo_height", "photo_sha256", "face_index", "crop_transform", "pose", "camera"),
    *("shape", "expression"),
]
"""Columns of the manifest of which a mesh is made."""


class MeshMaker:
    """Loads the face model once.

    Parameters
    ----------
    settings : of the job's stages read and crop; format and topology that are wanted; the face model that was fitted

    Raises
    ------
    AssetError
        when it is missing or of another kind
    """

    def __init__(self, settings: ChainSettings) -> None:
        self._settings = settings
        self._read = ChainPart(settings, READ, READ)
        self._reconstruct, self._export = reconstructor(settings), exporter(settings)

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
            crop = self._settings.crop
            photo = decode_photo(read["photo_bytes"], self._settings.read, partial(side_to_decode, settings=crop))
            width, height = (faces[name][0].as_py() for name in ("photo_width", "photo_height"))
            if (photo.width, photo.height) != (width, height):
                raise PhotoError(f"the photo has {photo.width} x {photo.height} pixels now, not {width} x {height}")
            batch = {**_arrays(faces), **cut_faces(photo, _floats(faces, "crop_transform"), crop.texture_side)}
            return self._export.files(batch | self._reconstruct.process(batch))
        except Exception as error:  # noqa: BLE001 - whatever one photo does is said of its rows
            return [describe_failure(EXPORT.name, error)] * len(faces)


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


def make_meshes(settings: ChainSettings, folder: str, rows: pa.Table, names: Sequence[str]) -> list[str]:
    """Make the meshes of rows and write them under names in a folder or s3:// prefix; for each "", or why not."""
    maker, output = _loaded(settings, folder)
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
def _loaded(settings: ChainSettings, folder: str) -> tuple[MeshMaker, OutputFolder]:
    return MeshMaker(settings), OutputFolder(folder, settings.s3)
