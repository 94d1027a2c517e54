"""What Prometheus can read of a job; Ray adds the prefix ray_ and exports the metrics of every node.

Of the whole job, kept by the driver:
facerecon_photos_total           photos whose rows are complete
facerecon_faces_total            faces with a mesh
facerecon_failed_total           rows unreadable or failed
facerecon_photos_left            photos still to do
facerecon_queued_batches         {stage} batches that wait for a stage

Of each worker; work that is done again after a fault counts again:
facerecon_rows_total             {stage} rows given out
facerecon_outcomes_total         {stage, kind} rows that became no_face, unreadable or failed there
facerecon_stage_seconds_total    {stage, device} seconds in which it was busy
facerecon_idle_share             {stage, device} of its last seconds, the share in which it had nothing to do
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import ray.data
from ray.util import metrics

from facerecon_ray.cluster.ray_data_internals import ExecutionCallback

_SECONDS = 5.0
_QUEUE_SECONDS = 1.0
_OPERATOR = re.compile(r"MapBatches\((\w+)\)")
_OK = "ok"


class JobMeter:
    """Counts of the whole job, kept by the driver."""

    def __init__(self) -> None:
        self._photos = metrics.Counter("facerecon_photos_total", "photos whose rows are complete")
        self._faces = metrics.Counter("facerecon_faces_total", "faces with a mesh")
        self._failed = metrics.Counter("facerecon_failed_total", "rows unreadable or failed")
        self._left = metrics.Gauge("facerecon_photos_left", "photos still to do")

    def add(self, photos: int, faces: int, failed: int, left: int | None) -> None:
        """Count what has arrived; `left` is None while the number of photos is not known."""
        for counter, amount in ((self._photos, photos), (self._faces, faces), (self._failed, failed)):
            _add(counter, amount)
        if left is not None:
            self._left.set(left)


class WorkerMeter:
    """Rows, seconds, outcomes and idleness of one worker.

    Parameters
    ----------
    stage : name of the stage
    has_gpu : whether Ray gave the worker a GPU
    seconds : over which the idle share is taken
    """

    def __init__(self, stage: str, has_gpu: bool, seconds: float = _SECONDS) -> None:
        tags = {"stage": stage, "device": "gpu" if has_gpu else "cpu"}
        self._rows = metrics.Counter("facerecon_rows_total", "rows given out by a stage", ("stage",))
        self._outcomes = metrics.Counter("facerecon_outcomes_total", "rows that ended in a stage", ("stage", "kind"))
        self._busy_seconds = metrics.Counter(
            "facerecon_stage_seconds_total", "seconds in which workers were busy", ("stage", "device")
        )
        self._idle = metrics.Gauge("facerecon_idle_share", "share of time without work", ("stage", "device"))
        for metric in (self._rows, self._outcomes):
            metric.set_default_tags({"stage": stage})
        for metric in (self._busy_seconds, self._idle):
            metric.set_default_tags(tags)
        self._lock = threading.Lock()
        self._busy_since: float | None = None
        self._busy = 0.0
        self._seconds = seconds
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around one call of the stage."""
        with self._lock:
            self._busy_since = time.monotonic()
        try:
            yield
        finally:
            self._account(still_busy=False)

    def count(self, before: Iterable[str], after: Iterable[str]) -> None:
        """Count rows by the `status` that they had before a call and have after it."""
        outcomes = Counter(after)
        _add(self._rows, outcomes.total())
        for kind, rows in (outcomes - Counter(before)).items():
            if kind != _OK:
                _add(self._outcomes, rows, {"kind": kind})

    def _account(self, still_busy: bool) -> None:
        with self._lock:
            if self._busy_since is None:
                return
            now = time.monotonic()
            seconds, self._busy_since = now - self._busy_since, now if still_busy else None
            self._busy += seconds
        _add(self._busy_seconds, seconds)

    def _watch(self) -> None:
        """Every few seconds: long calls count as they go on, and a worker without any shows as idle."""
        while True:
            start = time.monotonic()
            time.sleep(self._seconds)
            self._account(still_busy=True)
            with self._lock:
                busy, self._busy = self._busy, 0.0
            self._idle.set(max(0.0, 1.0 - busy / (time.monotonic() - start)))


class QueueMeter(ExecutionCallback):
    """Batches that wait for each stage, read from Ray Data's executor about once a second."""

    def __init__(self) -> None:
        self._gauge = metrics.Gauge("facerecon_queued_batches", "batches that wait for a stage", ("stage",))
        self._next = 0.0

    def on_execution_step(self, executor: Any) -> None:
        """Called by the executor in each of its rounds."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _QUEUE_SECONDS
        for operator, state in executor._topology.items():
            if stage := _OPERATOR.search(operator.name):
                self._gauge.set(state.total_enqueued_input_blocks(), {"stage": stage[1]})


def watch_queues() -> None:
    """Have the queues of datasets measured that are built from now on in this process."""
    classes = ray.data.DataContext.get_current().custom_execution_callback_classes
    if QueueMeter not in classes:
        classes.append(QueueMeter)


def _add(counter: metrics.Counter, amount: float, tags: dict[str, str] | None = None) -> None:
    """Ray's counters refuse zero."""
    if amount > 0:
        counter.inc(amount, tags)
