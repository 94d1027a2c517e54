"""Outputs of jobs with a manifest and nothing else, for tests of what reads manifests."""

from pathlib import Path

import pyarrow as pa

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.storage.manifest import Manifest
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import MANIFEST_SCHEMA


def row(photo: str, status: str = "ok", face: int | None = 0, **values: object) -> dict:
    """A row of the manifest."""
    counted = {"face_count": int(status == "ok"), "face_index": face if status in ("ok", "failed") else None}
    return {"photo_uri": photo, "status": status} | counted | values


def face(photo: str, yaw: float, quality: float, face: int = 0) -> dict:
    """A row of a face with a mesh."""
    return row(
        photo,
        face=face,
        pose={"yaw": yaw, "pitch": -2.0, "roll": 1.0},
        bbox=[1.0, 2.0, 3.0, 4.0],
        landmarks=[[float(i), 0.5] for i in range(68)],
        shape=[0.25] * 80,
        fit_error=0.02,
        quality=quality,
        mesh_uri=f"meshes/{photo}/{face}.glb",
        timings={"crop": 80.0, "rotate": 50.0},
    )


def write_run(output: Path | str, *parts: list[dict], settings: S3Settings | None = None) -> None:
    """Write a manifest."""
    folder = OutputFolder(output, settings)
    for shard, rows in enumerate(parts):
        Manifest(folder).write(shard, pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA))
