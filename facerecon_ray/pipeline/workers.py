"""What runs in a worker process: the steps of one stage, with as many threads as the worker has CPUs."""

import sys
from typing import Any

from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline.stage_plan import PlannedStage
from facerecon_ray.stages.stage import Batch


class WorkerError(Exception):
    """Carries an error for the user to the driver as it is, in `args[0]`: Ray appends advice to messages."""


class StageWorker:
    """Builds a stage's steps once and passes batches through them.

    An error while building waits for the first batch: raised there it reaches the driver and ends the job, where an
    error in a constructor would make Ray report a dead actor.
    """

    def __init__(self, stage: PlannedStage) -> None:
        self._error: Exception | None = None
        try:
            self._steps = [build() for build in stage.steps]
        except Exception as error:  # noqa: BLE001 - raised by the first call
            self._error = error
        _limit_threads(max(1, int(stage.pool.cpus)))

    def __call__(self, batch: Batch) -> Any:
        try:
            if self._error is not None:
                raise self._error
            for step in self._steps:
                batch = step(batch)
            return batch
        except FaceReconError as error:
            raise WorkerError(error) from None


def worker_class(stage: PlannedStage) -> type[StageWorker]:
    """Worker under the stage's name, which Ray shows in its dashboard and statistics."""
    return type(stage.name, (StageWorker,), {})


def _limit_threads(threads: int) -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if opencv := sys.modules.get("cv2"):
        opencv.setNumThreads(threads)
