"""Small stages with the columns of the real ones, for photos that say what is to happen to them.

A toy photo is a text file: "faces=2", "faces=0", "unreadable", "rotate-fails", "crash MARKER" (its process is killed
unless the file MARKER exists), "crash" (its process is always killed), "hang" (it is never done), "disk-full" (its
export cannot be written). With a log, the crop stage adds a line with the name of each photo that it begins, and
names its node in LOG.node. Run as a script it is a driver: toy_stages.py INPUT OUTPUT SECONDS-A-PHOTO [LOG]
[NAME=VALUE of a setting]... With TOY_PLAN=sized its pools fill the cluster, and it takes 5 quiet seconds for a stall.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import ray
from rich.console import Console

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings, load_job, parse_assignment
from facerecon_ray.errors import AssetError, OutputError, PhotoError
from facerecon_ray.pipeline import stalls
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.preparation import prepare
from facerecon_ray.pipeline.reconstruct import JobResult, run_reconstruct
from facerecon_ray.pipeline.stage_plan import ALL_STAGES, PlannedStage
from facerecon_ray.stages.read import Reader
from facerecon_ray.stages.stage import NO_FACE, OK, UNREADABLE, Batch, Column, Stage
from facerecon_ray.storage.uris import name_of


class ToyCropper:
    def __init__(self, seconds: float, log: str = "") -> None:
        self._seconds, self._log = seconds, log

    def __call__(self, batch: Batch) -> Batch:
        faces, texts = [], []
        status, error = batch["status"].copy(), batch["error"].copy()
        for row, data in enumerate(batch["photo_bytes"]):
            texts.append(data.decode())
            faces.append(1)
            if status[row] != OK:
                continue
            self._begin(batch["photo_uri"][row])
            time.sleep(self._seconds)
            _misbehave(texts[row])
            if texts[row].startswith("faces="):
                faces[row] = max(1, int(texts[row].removeprefix("faces=")))
            if texts[row] == "faces=0":
                status[row], error[row] = NO_FACE, "no face was found"
            elif texts[row] == "unreadable":
                status[row], error[row] = UNREADABLE, "not a photo"
        columns = {**batch, "status": status, "error": error, "text": np.array(texts, object)}
        del columns["photo_bytes"]
        columns = {name: np.repeat(values, faces, axis=0) for name, values in columns.items()}
        count = len(columns["text"])
        ok = (columns["status"] == OK).astype(np.float32)
        return {
            **columns,
            "face_count": np.repeat(np.array(faces, np.int32), faces),
            "face_index": np.concatenate([np.arange(count, dtype=np.int32) for count in faces]),
            "photo_width": np.full(count, 640, np.int32),
            "photo_height": np.full(count, 480, np.int32),
            "bbox": ok[:, None] * np.array([1, 2, 3, 4], np.float32),
            "detection_score": ok,
            "crop": np.zeros((count, 256, 256, 3), np.uint8),
            "crop_transform": np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1)),
            "landmarks": np.ones((count, 68, 2), np.float32),
            "crop_ms": np.full(count, self._seconds * 1000 + 1, np.float32),
        }

    def _begin(self, uri: str) -> None:
        if self._log:
            Path(self._log).with_suffix(".node").write_text(ray.get_runtime_context().get_node_id())
            with Path(self._log).open("a") as log:
                log.write(f"{name_of(uri)}\n")


def _misbehave(text: str) -> None:
    action, _, marker = text.partition(" ")
    if action == "hang":
        time.sleep(10_000)
    if action == "crash" and not (marker and Path(marker).exists()):
        if marker:
            Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)


ROTATED = {
    "pose": Column(np.float32, (3,)),
    "camera": Column(np.float32, (6,)),
    "shape": Column(np.float32, (5,)),
    "expression": Column(np.float32, (4,)),
    "fit_error": Column(np.float32),
    "rotated": Column(np.uint8, (256, 256, 3)),
    "rotated_yaw": Column(np.float32),
    "visible_share": Column(np.float32),
}
RECONSTRUCTED = {"position_map": Column(np.float16, (256, 256, 3))}


class ToyRotator(Stage):
    name = "rotate"
    outputs = ROTATED

    def process(self, batch: Batch) -> Batch:
        if "rotate-fails" in batch["text"]:
            raise PhotoError("the face cannot be turned")
        rows = len(batch["text"])
        return {name: np.ones((rows, *column.shape), column.dtype) for name, column in self.outputs.items()}


class ToyReconstructor(Stage):
    name = "reconstruct"
    outputs = RECONSTRUCTED

    def process(self, batch: Batch) -> Batch:
        return {"position_map": np.zeros((len(batch["text"]), 256, 256, 3), np.float16)}


class ToyExporter:
    def __call__(self, batch: Batch) -> Batch:
        rows = len(batch["text"])
        if "disk-full" in batch["text"]:
            raise OutputError("cannot write: No space left on device")
        names = [
            f"{name_of(uri)}/{face}".encode(errors="surrogateescape")
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


def toy_plan(job: ReconstructJob, files: FaceFiles, seconds: float = 0.0, log: str = "") -> list[PlannedStage]:
    """All stages in two pools: a worker process takes a second to start."""
    read, crop, *others = separate_plan(job, files, seconds, log)
    return [
        PlannedStage("read and crop", (*read.steps, *crop.steps), crop.pool),
        PlannedStage("others", tuple(step for stage in others for step in stage.steps), others[0].pool),
    ]


def shared_plan(job: ReconstructJob, files: FaceFiles, seconds: float = 0.0, log: str = "") -> list[PlannedStage]:
    """All stages in the same processes, as on a small machine."""
    stages = separate_plan(job, files, seconds, log)
    steps = tuple(step for stage in stages for step in stage.steps)
    return [PlannedStage(ALL_STAGES, steps, PoolSettings(workers=2, cpus=0.1, batch_size=4), "", tuple(stages))]


def sized_plan(job: ReconstructJob, files: FaceFiles, seconds: float = 0.0, log: str = "") -> list[PlannedStage]:
    """All stages in two pools of equal costs, which are sized to fill the cluster: one node of two for each."""
    pool = PoolSettings(batch_size=4)
    return [PlannedStage(stage.name, stage.steps, pool, "crop.mmod") for stage in toy_plan(job, files, seconds, log)]


def separate_plan(job: ReconstructJob, files: FaceFiles, seconds: float = 0.0, log: str = "") -> list[PlannedStage]:
    pool = PoolSettings(workers=1, cpus=0.1, batch_size=4)
    return [
        PlannedStage("read", (partial(Reader, job.read, job.s3),), pool),
        PlannedStage("crop", (partial(ToyCropper, seconds, log),), pool),
        PlannedStage("rotate", (ToyRotator,), pool, of_faces=True),
        PlannedStage("reconstruct", (ToyReconstructor,), pool, of_faces=True),
        PlannedStage("export", (ToyExporter, partial(FaceWriter, files)), pool, of_faces=True),
    ]


def run_toy(
    source: Path | str,
    output: Path | str,
    overwrite: bool = False,
    retry_failed: bool = False,
    seconds: float = 0.0,
    log: str = "",
    address: str | None = None,
    plan: Callable[..., list[PlannedStage]] = toy_plan,
    **settings: object,
) -> JobResult:
    job = load_job(ReconstructJob, None, {"input": str(source), "output": str(output), **settings})
    steps = partial(plan, seconds=seconds, log=log)
    return run_reconstruct(prepare(job, overwrite, retry_failed), Console(stderr=True), address, steps)


if __name__ == "__main__":
    source, output, seconds, log, *assignments = [*sys.argv[1:4], *(sys.argv[4:] or [""])]
    chosen = toy_plan
    if os.environ.get("TOY_PLAN") == "sized":
        chosen, stalls.QUIET_SECONDS, stalls._POLL_SECONDS = sized_plan, 5.0, 0.5
    run_toy(source, output, seconds=float(seconds), log=log, plan=chosen, **dict(map(parse_assignment, assignments)))
