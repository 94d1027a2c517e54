"""What runs in a worker process: the steps of one stage, with as many threads as the worker has CPUs."""

import ctypes
import pickle
import sys
import time
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from facerecon_ray.cluster.placement import hide_gpus
from facerecon_ray.cluster.worker_errors import WorkerError
from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline.capacity.sized_stage import Part, SizedStage
from facerecon_ray.pipeline.ledger import GO, ONE_BY_ONE, Item
from facerecon_ray.pipeline.metrics import WorkerMeter
from facerecon_ray.stages.stage import FAILED, OK, Batch, select

_ROOM_SECONDS = 0.1


class StageWorker:
    """Builds a stage's steps once and passes batches through them, each entered in the ledger while it is in hand.

    An error while building waits for the first batch: raised there it reaches the driver and ends the job, where an
    error in a constructor would make Ray report a dead actor.

    Parameters
    ----------
    stage : what to do
    ledger : handle of the run's ledger
    admits : whether this stage is the first, which begins a block only when the ledger has room for it
    """

    def __init__(self, stage: SizedStage, ledger: Any, admits: bool) -> None:
        context = ray.get_runtime_context()
        if not stage.pool.gpus:
            hide_gpus()
        self._stage, self._ledger, self._admits = stage.name, ledger, admits
        # As bytes: a handle that is a handle on its way makes Ray count who holds it, with several messages each time.
        self._handle, self._worker = pickle.dumps(context.current_actor), context.get_actor_id()
        self._error: Exception | None = None
        if ray.get(ledger.start.remote(self._worker, context.get_node_id())):
            try:
                self._steps = [build() for build in stage.steps]
            except Exception as error:  # noqa: BLE001 - raised by the first call
                self._error = error
            ledger.started.remote(self._worker)
        else:
            self._error = FaceReconError(
                f"stage {stage.name}: its worker process died each time it started; there may be too little memory"
            )
        _limit_threads(max(1, int(stage.pool.cpus)))
        self._parts = stage.parts or (Part(stage.name, len(stage.steps), stage.cost),)
        self._meters = [WorkerMeter(part.name, has_gpu=stage.pool.gpus > 0) for part in self._parts]

    def __call__(self, batch: Batch) -> Any:
        try:
            if self._error is not None:
                raise self._error
            if self._admits:
                self._wait_for_room(int(batch["position"][0]), len(batch["position"]))
            return self._attempt(batch)
        except FaceReconError as error:
            raise WorkerError(error) from None

    def _wait_for_room(self, first: int, photos: int) -> None:
        while not ray.get(self._ledger.admit.remote(first, photos)):
            time.sleep(_ROOM_SECONDS)

    def _attempt(self, batch: Batch) -> Any:
        items = _items(batch)
        verdict = ray.get(self._ledger.begin.remote(self._stage, items, self._worker, self._handle))
        if verdict == ONE_BY_ONE:
            return _join([self._attempt(select(batch, np.array([row]))) for row in range(len(items))])
        if verdict != GO:
            batch = _given_up(batch, verdict[1])
        result = self._run(batch, items)
        self._ledger.end.remote(self._stage, items, self._worker)
        return result

    def _run(self, batch: Batch, items: list[Item]) -> Any:
        steps = iter(self._steps)
        for meter, part in zip(self._meters, self._parts, strict=True):
            if len(self._parts) > 1 and len(items) == 1:
                # Waited for: a photo that ends the process at once must have been heard of.
                ray.get(self._ledger.enter.remote(self._stage, items[0], part.name))
            before = batch["status"]
            with meter.call():
                for step in islice(steps, part.steps):
                    batch = step(batch)
            meter.count(before, (str(status) for status in batch["status"]))
        _give_memory_back()
        return batch


def worker_class(stage: SizedStage) -> type[StageWorker]:
    """Worker under the stage's name, which Ray shows in its dashboard and statistics."""
    return type(stage.name, (StageWorker,), {})


def _items(batch: Batch) -> list[Item]:
    positions = batch["position"].tolist()
    faces = batch["face_index"].tolist() if "face_index" in batch else [-1] * len(positions)
    return list(zip(positions, faces, strict=True))


def _given_up(batch: Batch, reason: str) -> Batch:
    """Rows that stages pass on untouched: failed, those that were ok until here."""
    ok = batch["status"] == OK
    status, error = batch["status"].copy(), batch["error"].copy()
    status[ok], error[ok] = FAILED, reason
    return {**batch, "status": status, "error": error}


def _join(results: list[Any]) -> Any:
    if isinstance(results[0], pa.Table):
        return pa.concat_tables(results)
    return {name: np.concatenate([result[name] for result in results]) for name in results[0]}


def _give_memory_back() -> None:
    """Pictures of all sizes leave holes that the C library keeps: a hundred megabytes after a few batches."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def _limit_threads(threads: int) -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    if opencv := sys.modules.get("cv2"):
        opencv.setNumThreads(threads)
