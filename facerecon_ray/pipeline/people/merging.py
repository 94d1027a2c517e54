"""Persons made of their faces: in Ray's workers, and here for a few."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import StorageError, StoreUnavailableError
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.position_map import MAP_SIZE
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.report.viewer import viewer_script
from facerecon_ray.stages.people.person_face import STRIP, PersonBuilder, person_picture
from facerecon_ray.stages.stage import Batch
from facerecon_ray.storage.layout import PEOPLE_FILES
from facerecon_ray.storage.mesh_files import encode_mesh, glb_texture
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import file_columns, read_face_file
from facerecon_ray.storage.people import PEOPLE_SCHEMA

FACE_COLUMNS = [
    *("photo_uri", "face_index", "shape", "shape_information", "expression", "pose", "quality"),
    *file_columns("mesh"),
    *file_columns("preview"),
]
PERSON, MEMBERS = "person", "members"
GREY = 176


@dataclass(frozen=True)
class PeopleFiles:
    """Where persons are made.

    input       output of the job that found their faces
    output      where the people go
    face_model  of both
    """

    input: str
    output: str
    face_model: Path | None
    s3: S3Settings


class PersonMaker:
    """Loads the face model once.

    Raises
    ------
    AssetError
        when it is missing or of another kind
    """

    def __init__(self, files: PeopleFiles) -> None:
        self._builder = PersonBuilder(files.face_model)
        self._input = open_store(files.input, files.s3)
        self._output = OutputFolder(files.output, files.s3)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Make the persons of some faces, and write their files.

        Parameters
        ----------
        rows : FACE_COLUMNS of the manifest, PERSON and MEMBERS; all faces of each person

        Returns
        -------
        Rows of the people, see PEOPLE_SCHEMA
        """
        of_person: defaultdict[str, list[int]] = defaultdict(list)
        for row, person in enumerate(rows[PERSON].to_pylist()):
            of_person[person].append(row)
        made = [self._make(person, rows.take(pa.array(index))) for person, index in sorted(of_person.items())]
        return pa.Table.from_pylist(made, schema=PEOPLE_SCHEMA)

    def _make(self, person: str, rows: pa.Table) -> dict[str, Any]:
        faces = face_arrays(rows.sort_by([("photo_uri", "ascending"), ("face_index", "ascending")]))
        merged = self._builder.merge(faces)
        order = self._builder.best(faces, merged)
        textures = [(row, texture) for row in order.tolist() if (texture := self._texture(faces, row)) is not None]
        # Of photos whose meshes are gone nothing is left but the shape.
        textures = textures or [(int(order[0]), np.full((MAP_SIZE, MAP_SIZE, 3), GREY, np.uint8))]
        best, colours = [row for row, _ in textures], [texture for _, texture in textures]
        face = self._builder.face(faces, merged, np.array(best), colours)
        crops = [crop for row in order[:STRIP] if (crop := self._crop(faces, row)) is not None]
        self._write(person, self._builder.mesh(face, "smooth"), crops)
        yaws = faces["pose"][:, 0].tolist()
        disagreement = merged.disagreement.tolist()
        return {
            "person": person,
            "photos": int(merged.used.sum()),
            "faces": [
                {
                    "photo_uri": faces["photo_uri"][row],
                    "face_index": int(faces["face_index"][row]),
                    "used": bool(merged.used[row]),
                    "disagreement": disagreement[row],
                    "yaw": yaws[row],
                    "expression": faces["expression"][row].tolist(),
                }
                for row in range(len(yaws))
            ],
            "shape": merged.shape.tolist(),
            "deviation": merged.covariance.diagonal().sqrt().tolist(),
            "spread": face.spread,
            "quality": face.quality,
            "mesh_uri": f"{PEOPLE_FILES}/{person}.glb",
            "preview_uri": f"{PEOPLE_FILES}/{person}.jpg",
            "members": rows[MEMBERS][0].as_py(),
        }

    def _write(self, person: str, mesh: TexturedMesh, crops: list[np.ndarray]) -> None:
        name, glb = f"{PEOPLE_FILES}/{person}", encode_mesh(mesh, "glb")
        self._output.write(f"{name}.glb", glb)
        self._output.write(f"{name}.jpg", person_picture(mesh, crops))
        self._output.write(f"{name}.js", viewer_script(glb, person).encode())

    def _texture(self, faces: Batch, row: int) -> np.ndarray | None:
        return self._read(faces, row, "mesh", glb_texture)

    def _crop(self, faces: Batch, row: int) -> np.ndarray | None:
        return self._read(faces, row, "preview", _first_tile)

    def _read(self, faces: Batch, row: int, kind: str, decode: Callable[[bytes], np.ndarray]) -> np.ndarray | None:
        """What is in a face's file, None where it is gone or damaged."""
        try:
            return decode(read_face_file(self._input, {name: faces[name][row] for name in file_columns(kind)}, kind))
        except StoreUnavailableError:
            raise
        except (StorageError, ValueError):
            return None


def face_arrays(rows: pa.Table) -> Batch:
    """Rows of the manifest as arrays: photo_uri, face_index and where mesh and preview are (N,), pose (N, 3),
    quality (N,), shape (N, S), expression (N, E), shape_information (N, S (S + 1) / 2)."""
    lists = {name: np.array(rows[name].to_pylist(), np.float32) for name in ("shape", "expression", "quality")}
    pose = [[angle[name] for name in ("yaw", "pitch", "roll")] for angle in rows["pose"].to_pylist()]
    texts = ("photo_uri", "face_index", *file_columns("mesh"), *file_columns("preview"))
    return {
        **{name: np.array(rows[name].to_pylist(), object) for name in texts},
        **lists,
        "pose": np.array(pose, np.float32),
        "shape_information": np.stack([np.frombuffer(v, "<f2") for v in rows["shape_information"].to_pylist()]),
    }


def _first_tile(preview: bytes) -> np.ndarray:
    """(256, 256, 3) uint8 the crop, which a preview begins with."""
    picture = cv2.imdecode(np.frombuffer(preview, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("no picture")
    return np.ascontiguousarray(picture[:CROP_SIZE, :CROP_SIZE, ::-1])


@lru_cache(maxsize=1)
def maker_of(files: PeopleFiles) -> PersonMaker:
    """The maker of this process."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return PersonMaker(files)
