"""Notices when a job stands still because workers that it needs cannot run, and ends the pipeline then."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
import ray.data

from facerecon_ray.cluster.host_check import sick_hosts
from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.cluster.ray_data_internals import ExecutionCallback
from facerecon_ray.cluster.ray_internals import waiting_actors
from facerecon_ray.cluster.worker_errors import StalledError
from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline.capacity.pools import Pools
from facerecon_ray.waiting import say

QUIET_SECONDS = 30.0
"""Nothing has been begun or ended for so long, and no worker has anything in hand or starts."""

PATIENCE_SECONDS = 180.0
"""With the nodes for which the workers were sized: they may be slow to start, or other jobs may have their room."""

_POLL_SECONDS = 5.0
_SAY_SECONDS = 60.0
_ANSWER_SECONDS = 10.0


class EndWhenStalled(ExecutionCallback):
    """Called by the executor of a data set in each of its rounds: what it raises ends the data set."""

    watch: "StallWatch | None" = None

    def on_execution_step(self, executor: Any) -> None:
        """Raise what the watch of the pipeline that runs has found."""
        if self.watch is not None and self.watch.error is not None:
            raise self.watch.error


class StallWatch:
    """Looks at a pipeline now and then.

    Parameters
    ----------
    ledger : handle of the run's ledger
    pools : of the pipeline
    """

    def __init__(self, ledger: Any, pools: Pools) -> None:
        self._ledger, self._pools = ledger, pools
        self._heard = time.monotonic()
        self._said = -_SAY_SECONDS
        self.error: Exception | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """For the duration: what is found is raised in the executor of the data set that is run."""
        stop = threading.Event()

        def loop() -> None:
            while not stop.wait(_POLL_SECONDS) and self.error is None:
                # Whatever else Ray has to say about its own end, the pipeline says too.
                with suppress(ray.exceptions.RayError, OSError):
                    self._look()

        watcher = threading.Thread(target=loop, daemon=True)
        watcher.start()
        classes = ray.data.DataContext.get_current().custom_execution_callback_classes
        if EndWhenStalled not in classes:
            classes.append(EndWhenStalled)
        EndWhenStalled.watch = self
        try:
            yield
        finally:
            stop.set()
            EndWhenStalled.watch = None

    def _look(self) -> None:
        quiet = self._quiet_seconds()
        waiting = waiting_actors()
        stages = [stage.name for stage in self._pools.stages]
        names = [name for name in stages if any(f"({name})" in label for label in waiting.values())]
        if quiet < QUIET_SECONDS or not names:
            return
        missing = f"workers of {', '.join(names)} do not run, and the others have nothing to do"
        is_due = time.monotonic() - self._said > _SAY_SECONDS
        if is_due and (hosts := sick_hosts()):
            # A host that was only slow has answered nothing, but begun its work meanwhile.
            if self._quiet_seconds() >= QUIET_SECONDS:
                self.error = FaceReconError(f"{missing}: {'; '.join(hosts)}; the same command continues the run")
        elif live_cluster().has_less_than(self._pools.cluster) or (self._pools.is_open and quiet > PATIENCE_SECONDS):
            self.error = StalledError(missing)
        elif is_due:
            self._said = time.monotonic()
            say(f"{missing}: waiting for the cluster to have room for them")

    def _quiet_seconds(self) -> float:
        """As the ledger says; it may be what does not run."""
        with suppress(ray.exceptions.GetTimeoutError):
            quiet: float = ray.get(self._ledger.quiet_seconds.remote(), timeout=_ANSWER_SECONDS)
            self._heard = time.monotonic()
            return quiet
        return time.monotonic() - self._heard
