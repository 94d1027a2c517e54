"""Last step of the job, in the workers: faces become files in the output folder and rows of the manifest."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.pipeline.manifest_writer import POSITION
from facerecon_ray.report.gallery import viewer_script
from facerecon_ray.stages.chain import READ
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.layout import PREVIEWS, VIEWER, mesh_name, photo_key
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import WRITE, manifest_rows, time_column

_THREADS = 8


@dataclass(frozen=True)
class FaceFiles:
    """Where the files of faces go.

    output         folder or s3://bucket/prefix
    s3             how it is reached
    photo_root     folder or s3:// prefix to which the photos' keys are relative
    mesh_suffix    glb, obj or ply
    viewer_photos  so many photos, the first of the plan, get files for the gallery's interactive view of their faces
    """

    output: str
    s3: S3Settings
    photo_root: str
    mesh_suffix: str
    viewer_photos: int


class FaceWriter:
    """Write each face's mesh, preview and interactive view.

    Input columns   those of all stages, with mesh, preview, viewer : (B,) bytes; position : (B,) place in the plan
    Output          rows of the manifest, without pixels and files, and position
    """

    def __init__(self, files: FaceFiles) -> None:
        self._files = files
        self._output = OutputFolder(files.output, files.s3)
        self._threads = ThreadPoolExecutor(_THREADS)

    def __call__(self, batch: Batch) -> pa.Table:
        rows = len(batch["status"])
        uris: Batch = {name: np.full(rows, "", object) for name in ("mesh_uri", "preview_uri")}
        milliseconds = np.zeros(rows, np.float32)
        written = np.flatnonzero(batch["status"] == OK)
        faces = ({name: values[row] for name, values in batch.items()} for row in written)
        for row, (mesh_uri, preview_uri, seconds) in zip(written, self._threads.map(self._write, faces), strict=True):
            uris["mesh_uri"][row], uris["preview_uri"][row] = mesh_uri, preview_uri
            milliseconds[row] = seconds * 1000
        # The time to read a photo is repeated in each of its rows; split, the rows' times add up.
        read = time_column(READ.name)
        timings: Batch = {read: batch[read] / np.maximum(batch["face_count"], 1), time_column(WRITE): milliseconds}
        return manifest_rows({**batch, **uris, **timings}).append_column(
            POSITION, pa.array(batch[POSITION], pa.int64())
        )

    def _write(self, face: dict[str, Any]) -> tuple[str, str, float]:
        """Names of mesh and preview in the output, "" for what is not wanted, and seconds."""
        start = time.perf_counter()
        key = photo_key(face["photo_uri"], self._files.photo_root)
        index = int(face["face_index"])
        mesh_uri = mesh_name(key, index, self._files.mesh_suffix) if face["mesh"] else ""
        if mesh_uri:
            self._output.write(mesh_uri, face["mesh"])
        preview_uri = f"{PREVIEWS}/{key}/{index}.jpg" if face["preview"] else ""
        if preview_uri:
            self._output.write(preview_uri, face["preview"])
        if face["viewer"] and face[POSITION] < self._files.viewer_photos:
            script = viewer_script(face["viewer"], f"{key}/{index}")
            self._output.write(f"{VIEWER}/{key}/{index}.js", script.encode())
        return mesh_uri, preview_uri, time.perf_counter() - start
