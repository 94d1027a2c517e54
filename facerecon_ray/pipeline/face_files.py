"""Last step of the job, in the workers: faces become files in the output folder and rows of the manifest."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.manifest_writer import POSITION
from facerecon_ray.pipeline.pack_pieces import PieceWriter
from facerecon_ray.report.viewer import viewer_script
from facerecon_ray.stages.chain import READ
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.layout import MESHES, PREVIEWS, VIEWER, photo_key
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import URIS, WRITE, manifest_rows, time_column

_THREADS = 8


@dataclass(frozen=True)
class FaceFiles:
    """Where the files of faces go.

    output         folder or s3://bucket/prefix
    s3             how it is reached
    photo_root     folder or s3:// prefix to which the photos' keys are relative
    mesh_suffix    glb, obj or ply
    viewer_photos  so many photos, the first of the plan, get files for the gallery's interactive view of their faces
    pack           shard: meshes and previews go into pieces of packs
    """

    output: str
    s3: S3Settings
    photo_root: str
    mesh_suffix: str
    viewer_photos: int
    pack: Literal["none", "shard"] = "none"


class FaceWriter:
    """Write each face's mesh, preview and interactive view.

    Input columns   those of all stages, with mesh, preview, viewer : (B,) bytes; position : (B,) place in the plan;
                    shard : (B,) of the plan, where files go into packs
    Output          rows of the manifest, without pixels and files, and position
    """

    def __init__(self, files: FaceFiles) -> None:
        self._files = files
        self._output = OutputFolder(files.output, files.s3)
        self._threads = ThreadPoolExecutor(_THREADS)
        self._pieces = PieceWriter(self._output, self._threads, files.mesh_suffix)

    def __call__(self, batch: Batch) -> pa.Table:
        rows = len(batch["status"])
        columns: Batch = {name: np.full(rows, "", object) for name in URIS}
        milliseconds = np.zeros(rows, np.float32)
        written = np.flatnonzero(batch["status"] == OK)
        faces = [{name: values[row] for name, values in batch.items()} for row in written]
        keys = [self._key(face) for face in faces]
        for row, (mesh_uri, preview_uri, seconds) in zip(
            written, self._threads.map(self._write, faces, keys), strict=True
        ):
            columns["mesh_uri"][row], columns["preview_uri"][row] = mesh_uri, preview_uri
            milliseconds[row] = seconds * 1000
        # The time to read a photo is repeated in each of its rows; split, the rows' times add up.
        read = time_column(READ.name)
        columns |= {read: batch[read] / np.maximum(batch["face_count"], 1), time_column(WRITE): milliseconds}
        if self._files.pack == "shard" and len(written):
            columns |= self._pieces({**batch, **columns}, written, keys)
        return manifest_rows({**batch, **columns}).append_column(POSITION, pa.array(batch[POSITION], pa.int64()))

    def _key(self, face: dict[str, Any]) -> str:
        """<photo key>/<face index>, with which the names of its files begin."""
        return f"{photo_key(face['photo_uri'], self._files.photo_root)}/{int(face['face_index'])}"

    def _write(self, face: dict[str, Any], key: str) -> tuple[str, str, float]:
        """Names of mesh and preview in the output, "" for what is not wanted or goes into a pack, and seconds."""
        start = time.perf_counter()
        mesh_uri = preview_uri = ""
        if self._files.pack == "none":
            if face["mesh"]:
                mesh_uri = f"{MESHES}/{key}.{self._files.mesh_suffix}"
                self._output.write(mesh_uri, face["mesh"])
            if face["preview"]:
                preview_uri = f"{PREVIEWS}/{key}.jpg"
                self._output.write(preview_uri, face["preview"])
        if face["viewer"] and face[POSITION] < self._files.viewer_photos:
            self._output.write(f"{VIEWER}/{key}.js", viewer_script(face["viewer"], key).encode())
        return mesh_uri, preview_uri, time.perf_counter() - start
