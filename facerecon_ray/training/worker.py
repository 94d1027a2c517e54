"""What each worker of a training does: batches in, steps, and now and then a validation and a checkpoint."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import ray
import ray.train
import ray.train.torch
import torch
from ray.actor import ActorHandle
from torch import nn

from facerecon_ray.config.training import TrainJob
from facerecon_ray.errors import FaceReconError
from facerecon_ray.networks.device import resolve_device
from facerecon_ray.networks.weight_file import begin_with, weight_bytes
from facerecon_ray.report.contact_sheet import png
from facerecon_ray.storage.layout import SAMPLES
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.training.batch_tensors import on_device
from facerecon_ray.training.checkpoints import Checkpoints
from facerecon_ray.training.figure_log import FigureLog
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.pair_stream import endless_batches
from facerecon_ray.training.recipes.recipe import Recipe
from facerecon_ray.training.recipes.registry import build_recipe
from facerecon_ray.training.validation import first_rows, validate

REPORT_SECONDS = 1.0
SMOOTHING = 0.98
"""How much of a running average of the losses stays at each step."""


@dataclass(frozen=True)
class WorkerTask:
    """What a worker is told.

    job      the settings
    threads  it computes with
    board    where progress and errors go
    """

    job: TrainJob
    threads: int
    board: "ActorHandle[Any]"


def work(task: WorkerTask) -> None:
    """Train until the last step, from the last checkpoint if there is one; runs in each worker.

    An error for the user goes to the board. The other workers, which wait for this one, then fail too, and none of
    those that Ray starts in their place begins.
    """
    task.board.begin.remote()
    if ray.get(task.board.error.remote()):
        return
    try:
        _Worker(task).run()
    except FaceReconError as error:
        ray.get(task.board.fail.remote(error))
        raise
    except OSError as error:
        ray.get(task.board.fail.remote(FaceReconError(f"training stopped: {error}")))
        raise


class _Worker:
    def __init__(self, task: WorkerTask) -> None:
        torch.set_num_threads(task.threads)
        cv2.setNumThreads(1)
        self._task, self._job, self._board = task, task.job, task.board
        context = ray.train.get_context()
        self._rank, self._workers = context.get_world_rank(), context.get_world_size()
        self._device = _device(task.job)
        torch.manual_seed(task.job.seed)
        self._recipe: Recipe = build_recipe(task.job, self._device)
        self._store: ObjectStore = open_store(task.job.output, task.job.s3)
        self._checkpoints = Checkpoints(self._store, task.job.network)
        self._history: list[dict[str, Any]] = []
        self._seconds = 0.0
        state = self._checkpoints.last()
        if state is None:
            self._begin()
        self._learner = Learner(self._recipe, task.job, self._device, self._rank, _wrap)
        if state is not None:
            self._learner.restore(state)
            self._history, self._seconds = list(state["history"]), float(state["seconds"])
            done, steps = self._learner.step, self._job.steps
            self._say(f"Going on after step {done} of {steps}" if done < steps else f"{done} steps were done before")

    def run(self) -> None:
        """Steps until the last one."""
        job, learner = self._job, self._learner
        if learner.step >= job.steps:
            return
        log = FigureLog(self._store, job, learner.step) if self._first else None
        batches = self._batches()
        pace = _Pace(job.batch_size * self._workers, self._seconds)
        losses: dict[str, float] = {}
        reported = 0.0
        while learner.step < job.steps:
            batch = pace.waited(batches)
            for name, value in learner.learn(on_device(batch, self._device)).items():
                losses[name] = SMOOTHING * losses[name] + (1 - SMOOTHING) * value if name in losses else value
            pace.step()
            due = learner.step % job.validate_every == 0 or learner.step == job.steps
            if self._first and (due or time.monotonic() - reported > REPORT_SECONDS):
                reported = time.monotonic()
                self._board.progress.remote(learner.step, dict(losses), pace.rows_per_second, pace.wait_share)
                if log:
                    log.losses(learner.step, losses, pace.rows_per_second, pace.wait_share)
            if due:
                with pace.paused():
                    self._validate(losses, pace, log)
                ray.train.report({"step": learner.step, **losses})
        if log:
            log.close()

    @property
    def _first(self) -> bool:
        return self._rank == 0

    def _batches(self) -> Iterator[dict[str, np.ndarray]]:
        seed = self._job.seed + 1000 * self._rank + self._learner.step
        return endless_batches(ray.train.get_dataset_shard("train"), self._job, seed)

    def _validate(self, losses: dict[str, float], pace: "_Pace", log: FigureLog | None) -> None:
        """Measure the averaged weights; the first worker writes what the training leaves."""
        stream = ray.train.get_dataset_shard("validation")
        figures, picture = validate(self._learner, self._recipe, stream, self._job, self._device, self._workers)
        # In every worker: a stream begins anew only when all of them ask for it.
        rows = first_rows(stream, self._job, self._device, max(1, self._job.validation_rows // self._workers))
        self._recipe.calibrate(self._learner.measured(), self._learner.network, rows)
        if not self._first:
            return
        if (error := ray.get(self._board.error.remote())) is not None:
            raise error
        goal = self._recipe.goal
        best = is_best(figures[goal], [earlier["figures"][goal] for earlier in self._history])
        step, seconds = self._learner.step, pace.seconds
        self._history.append(
            {
                "step": step,
                "best": best,
                "seconds": round(seconds, 1),
                "rows": step * self._job.batch_size * self._workers,
                "wait_share": round(pace.wait_share, 4),
                "losses": {name: round(value, 5) for name, value in losses.items()},
                "figures": {name: round(value, 6) for name, value in figures.items()},
            }
        )
        if best:
            metadata = {**self._recipe.metadata, "step": str(step)}
            self._checkpoints.save_weights(
                weight_bytes(self._learner.network.state_dict(), self._job.network, metadata)
            )
        self._checkpoints.save_figures(self._history)
        # Last: a training that is killed before this does these steps again, and then writes all of it again.
        self._checkpoints.save({**self._learner.state(), "history": self._history, "seconds": seconds}, best)
        if picture is not None:
            self._store.write(f"{SAMPLES}/step-{step:07d}.png", png(picture))
        if log:
            log.figures(step, figures, picture)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items() if "@" not in name)
        self._say(f"step {step}: {shown}{'  (best)' if best else ''}")

    def _begin(self) -> None:
        if self._job.init is None:
            return
        kept = begin_with(self._recipe.modules[self._recipe.result], self._job.init, self._job.network)
        rest = f"; {len(kept)} of its tensors do not fit and begin at random" if kept else ""
        self._say(f"Beginning with {self._job.init}{rest}")

    def _say(self, line: str) -> None:
        if self._first:
            self._board.say.remote(line)


def is_best(figure: float, earlier: list[float]) -> bool:
    """Whether a figure is at least as good as all before it."""
    return figure <= min(earlier, default=figure)


class _Pace:
    """How fast a worker is, and how long it waits for data, over its last hundred steps.

    Parameters
    ----------
    rows : in one step, of all workers
    seconds : that earlier runs of the same training took
    """

    def __init__(self, rows: int, seconds: float) -> None:
        self._rows, self._earlier = rows, seconds
        self._start = self._last = time.monotonic()
        self._pause = 0.0
        self._average: tuple[float, float] | None = None
        self._wait = 0.0

    @property
    def seconds(self) -> float:
        """Of training so far, validations left out."""
        return self._earlier + time.monotonic() - self._start - self._pause

    @property
    def rows_per_second(self) -> float:
        """Of all workers."""
        return self._rows / self._average[0] if self._average else 0.0

    @property
    def wait_share(self) -> float:
        """Share of the time in which the worker waited for data."""
        return self._average[1] / self._average[0] if self._average else 0.0

    def waited(self, batches: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The next batch; the time until it comes counts as waiting."""
        start = time.monotonic()
        batch = next(batches)
        self._wait = time.monotonic() - start
        return batch

    def step(self) -> None:
        """A step is done."""
        now = time.monotonic()
        whole, self._last = now - self._last, now
        if self._average is None:
            # The first batch waits for the readers to start, which says nothing of the pace.
            self._average = (whole - self._wait, 0.0)
            return
        keep = 0.98
        self._average = tuple(  # type: ignore[assignment]
            keep * old + (1 - keep) * new for old, new in zip(self._average, (whole, self._wait), strict=True)
        )

    def paused(self) -> "_Pause":
        """For the duration, time does not count."""
        return _Pause(self)

    def leave_out(self, seconds: float) -> None:
        """Do not count these last seconds."""
        self._pause += seconds
        self._last += seconds


class _Pause:
    def __init__(self, pace: _Pace) -> None:
        self._pace = pace

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._pace.leave_out(time.monotonic() - self._start)


def _device(job: TrainJob) -> torch.device:
    if job.workers.gpus > 0 and job.device == "auto":
        return torch.device(ray.train.torch.get_device())
    return resolve_device(job.device if job.device != "auto" else "cpu")


def _wrap(module: nn.Module) -> nn.Module:
    if ray.train.get_context().get_world_size() == 1:
        return module
    wrapped: nn.Module = ray.train.torch.prepare_model(module, move_to_device=False)
    return wrapped
