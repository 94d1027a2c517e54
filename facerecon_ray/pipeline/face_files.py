"""Last step of the job, in the workers: faces become files in the output folder and rows of the manifest."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.layout import MESHES, PREVIEWS, VIEWER, photo_key
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import manifest_rows


@dataclass(frozen=True)
class FaceFiles:
    """Where the files of faces go.

    output         the output folder
    photo_root     folder to which the photos' keys are relative
    mesh_suffix    glb, obj or ply
    viewer_photos  photos whose faces get a file for the gallery's interactive view
    """

    output: Path
    photo_root: str
    mesh_suffix: str
    viewer_photos: frozenset[str]


class FaceWriter:
    """Write each face's mesh, preview and interactive view.

    Input columns   those of all stages, with mesh, preview, viewer : (B,) bytes
    Output          rows of the manifest, without pixels and files
    """

    def __init__(self, files: FaceFiles) -> None:
        # Here and not above: the gallery loads trimesh, which takes a second that a dry run has no use for.
        from facerecon_ray.report.gallery import viewer_script

        self._viewer_script = viewer_script
        self._files = files
        self._output = OutputFolder(files.output)

    def __call__(self, batch: Batch) -> pa.Table:
        rows = len(batch["status"])
        uris: Batch = {name: np.full(rows, "", object) for name in ("mesh_uri", "preview_uri")}
        milliseconds = np.zeros(rows, np.float32)
        for row in np.flatnonzero(batch["status"] == OK):
            start = time.perf_counter()
            uris["mesh_uri"][row], uris["preview_uri"][row] = self._write_face({k: v[row] for k, v in batch.items()})
            milliseconds[row] = (time.perf_counter() - start) * 1000
        # The time to read a photo is repeated in each of its rows; split, the rows' times add up.
        timings: Batch = {"read_ms": batch["read_ms"] / np.maximum(batch["face_count"], 1), "write_ms": milliseconds}
        return manifest_rows({**batch, **uris, **timings})

    def _write_face(self, face: dict[str, Any]) -> tuple[str, str]:
        """URIs of mesh and preview relative to the output folder, "" for a preview that is not wanted."""
        key = photo_key(face["photo_uri"], self._files.photo_root)
        index = int(face["face_index"])
        mesh_uri = f"{MESHES}/{key}/{index}.{self._files.mesh_suffix}"
        self._output.write(mesh_uri, face["mesh"])
        preview_uri = f"{PREVIEWS}/{key}/{index}.png" if face["preview"] else ""
        if preview_uri:
            self._output.write(preview_uri, face["preview"])
        if face["viewer"] and face["photo_uri"] in self._files.viewer_photos:
            script = self._viewer_script(face["viewer"], f"{key}/{index}")
            self._output.write(f"{VIEWER}/{key}/{index}.js", script.encode())
        return mesh_uri, preview_uri
