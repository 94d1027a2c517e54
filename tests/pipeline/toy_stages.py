"""Small stages with the columns of the real ones, for photos that say what is to happen to them.

A toy photo is a text file: "faces=2", "faces=0", "unreadable", "rotate-fails", "crash MARKER" (its process is killed
unless the file MARKER exists), "disk-full" (its export cannot be written). Run as a script it is a driver:
toy_stages.py INPUT OUTPUT [SECONDS A PHOTO].
"""

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
from rich.console import Console

from facerecon_ray.config.reconstruct import ReadSettings, ReconstructJob
from facerecon_ray.config.settings import PoolSettings, load_job
from facerecon_ray.errors import AssetError, OutputError, PhotoError
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.preparation import prepare
from facerecon_ray.pipeline.reconstruct import JobResult, run_reconstruct
from facerecon_ray.pipeline.stage_plan import PlannedStage
from facerecon_ray.stages.read import Reader
from facerecon_ray.stages.stage import NO_FACE, OK, UNREADABLE, Batch, Column, Stage
from facerecon_ray.storage.uris import path_of


class ToyCropper:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __call__(self, batch: Batch) -> Batch:
        rows = []
        for uri, data, status, error, read_ms in zip(*batch.values(), strict=True):
            time.sleep(self._seconds)
            text, faces = data.decode(), 1
            if text.startswith("crash") and not Path(text.split(" ", 1)[1]).exists():
                Path(text.split(" ", 1)[1]).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if text.startswith("faces="):
                faces = int(text.removeprefix("faces="))
                if faces == 0:
                    status, error = NO_FACE, "no face was found"
            elif text == "unreadable":
                status, error = UNREADABLE, "not a photo"
            rows += [(uri, status, error, read_ms, max(faces, 1), face, text) for face in range(max(faces, 1))]
        names = ("photo_uri", "status", "error", "read_ms", "face_count", "face_index", "text")
        columns = {name: np.array(values, object) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
        count = len(rows)
        ok = (columns["status"] == OK).astype(np.float32)
        return {
            **columns,
            "read_ms": columns["read_ms"].astype(np.float32),
            "face_count": columns["face_count"].astype(np.int32),
            "face_index": columns["face_index"].astype(np.int32),
            "photo_width": np.full(count, 640, np.int32),
            "photo_height": np.full(count, 480, np.int32),
            "bbox": ok[:, None] * np.array([1, 2, 3, 4], np.float32),
            "detection_score": ok,
            "crop": np.zeros((count, 256, 256, 3), np.uint8),
            "crop_transform": np.zeros((count, 2, 3), np.float32),
            "landmarks": np.ones((count, 68, 2), np.float32),
            "crop_ms": np.full(count, self._seconds * 1000 + 1, np.float32),
        }


class ToyRotator(Stage):
    name = "rotate"
    outputs: ClassVar[dict[str, Column]] = {
        "pose": Column(np.float32, (3,)),
        "camera": Column(np.float32, (3,)),
        "shape": Column(np.float32, (5,)),
        "expression": Column(np.float32, (4,)),
        "fit_error": Column(np.float32),
        "rotated": Column(np.uint8, (256, 256, 3)),
        "rotated_yaw": Column(np.float32),
        "visible_share": Column(np.float32),
    }

    def process(self, batch: Batch) -> Batch:
        if "rotate-fails" in batch["text"]:
            raise PhotoError("the face cannot be turned")
        rows = len(batch["text"])
        return {name: np.ones((rows, *column.shape), column.dtype) for name, column in self.outputs.items()}


class ToyReconstructor(Stage):
    name = "reconstruct"
    outputs: ClassVar[dict[str, Column]] = {"position_map": Column(np.float16, (256, 256, 3))}

    def process(self, batch: Batch) -> Batch:
        return {"position_map": np.zeros((len(batch["text"]), 256, 256, 3), np.float16)}


class ToyExporter:
    def __call__(self, batch: Batch) -> Batch:
        rows = len(batch["text"])
        if "disk-full" in batch["text"]:
            raise OutputError("cannot write: No space left on device")
        names = [
            f"{path_of(uri).name}/{face}".encode(errors="surrogateescape")
            for uri, face in zip(batch["photo_uri"], batch["face_index"], strict=True)
        ]
        return {
            **batch,
            "mesh": np.array([b"mesh of " + name for name in names], object),
            "preview": np.array([b"preview of " + name for name in names], object),
            "viewer": np.array([b"view of " + name for name in names], object),
            "landmarks_3d": np.zeros((rows, 68, 3), np.float32),
            "quality": np.full(rows, 0.5, np.float32),
            "export_ms": np.ones(rows, np.float32),
        }


def no_asset() -> None:
    raise AssetError("model.npz is not a face model")


def toy_plan(job: ReconstructJob, files: FaceFiles, seconds: float = 0.0) -> list[PlannedStage]:
    """All stages in two pools: a worker process takes a second to start."""
    read, crop, *others = separate_plan(job, files, seconds)
    return [
        PlannedStage("read and crop", (*read.steps, *crop.steps), crop.pool),
        PlannedStage("others", tuple(step for stage in others for step in stage.steps), others[0].pool),
    ]


def separate_plan(job: ReconstructJob, files: FaceFiles, seconds: float = 0.0) -> list[PlannedStage]:
    pool = PoolSettings(batch_size=4)
    return [
        PlannedStage("read", (partial(Reader, ReadSettings()),), pool),
        PlannedStage("crop", (partial(ToyCropper, seconds),), pool),
        PlannedStage("rotate", (ToyRotator,), pool),
        PlannedStage("reconstruct", (ToyReconstructor,), pool),
        PlannedStage("export", (ToyExporter, partial(FaceWriter, files)), pool),
    ]


def run_toy(
    source: Path, output: Path, overwrite: bool = False, seconds: float = 0.0, **settings: object
) -> JobResult:
    job = load_job(ReconstructJob, None, {"input": str(source), "output": str(output), **settings})
    plan = partial(toy_plan, seconds=seconds)
    return run_reconstruct(prepare(job, overwrite), Console(stderr=True), plan=plan)


if __name__ == "__main__":
    run_toy(Path(sys.argv[1]), Path(sys.argv[2]), seconds=float(sys.argv[3]))
