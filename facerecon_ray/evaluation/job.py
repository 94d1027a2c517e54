"""The evaluation as a job on Ray: every scan is prepared once and then scored pitch by pitch, all side by side."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.cluster.placement import Demand, check_room
from facerecon_ray.cluster.tasks import TaskWatch
from facerecon_ray.cluster.worker_errors import UNUSABLE_HOST, told
from facerecon_ray.config.evaluation import EvaluateJob
from facerecon_ray.errors import AssetError, FaceReconError, SettingsError
from facerecon_ray.evaluation import tasks
from facerecon_ray.evaluation.items import Items, ScanItem, combined_checksum, list_items, photo_checksum
from facerecon_ray.evaluation.landmark_files import AnnotatedPhoto
from facerecon_ray.evaluation.models import Model, ModelSpec, parse_models
from facerecon_ray.evaluation.rows import LANDMARKS, NOT_RECONSTRUCTED, OK, UNUSABLE, known_values
from facerecon_ray.evaluation.tasks import Angles, Tools
from facerecon_ray.jobs.progress import Progress

AHEAD = 2
"""Tasks in flight for each that the cluster can run at once, so that no worker waits for the driver."""

OUTLIERS_OF_ONE_ITEM = 2


@dataclass(frozen=True)
class Outlier:
    """A bad reconstruction: its row and a JPEG that shows it."""

    row: dict[str, Any]
    picture: bytes


@dataclass(frozen=True)
class Results:
    """What a run found.

    started    when
    seconds    how long it took
    models     that were compared
    rows       of ROW_SCHEMA
    together   of MANY_PHOTOS_SCHEMA
    outliers   worst first
    checksums  of each data set
    """

    started: datetime
    seconds: float
    models: tuple[ModelSpec, ...]
    rows: list[dict[str, Any]]
    together: list[dict[str, Any]]
    outliers: list[Outlier]
    checksums: dict[str, str] = field(default_factory=dict)


def run_evaluation(job: EvaluateJob, progress: Progress | None = None) -> Results:
    """Evaluate on the Ray cluster that this process is connected to.

    Parameters
    ----------
    job : the settings
    progress : is told how far it is

    Raises
    ------
    SettingsError, InputError, AssetError
        when there is nothing to evaluate or a model cannot be loaded; what is wrong with one scan, photo or
        reconstruction becomes a row
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    models = parse_models(job.models)
    items = list_items(job.data, job.protocol)
    for spec in models:
        Model(spec, "cpu")
    run = _Run(job, models, items, progress or (lambda done, total: None))
    found = run.rows()
    together = [row for row in found if "photos" in row]
    rows = [row for row in found if "photos" not in row]
    outliers = run.outliers(rows)
    return Results(started, time.perf_counter() - clock, models, rows, together, outliers, run.checksums())


@dataclass(frozen=True)
class _Task:
    """A task in flight.

    failure   rows that stand for it when it fails
    item      scan that it prepares, None for other tasks
    prepared  where the prepared scan will be
    """

    failure: Callable[[str], list[dict[str, Any]]]
    item: ScanItem | None = None
    prepared: Any = None


Submission = Callable[[], tuple[Any, _Task]]
"""Hands a task to Ray and returns the reference to wait for."""


class _Run:
    """One run's tasks."""

    def __init__(self, job: EvaluateJob, models: tuple[ModelSpec, ...], items: Items, progress: Progress) -> None:
        self._job, self._models, self._items, self._progress = job, models, items, progress
        work, cluster = job.work, live_cluster()
        task = Demand("evaluate", {"CPU": work.cpus, "GPU": work.gpus}, {}, 1)
        check_room([replace(task, name="work")], cluster, "lower work.cpus or work.gpus")
        self._watch = TaskWatch(task, "start the same command again")
        # Ray hides no GPU from a task that has reserved none.
        device = "cpu" if work.device == "auto" and not work.gpus else work.device
        tools = Tools(models, job.protocol, device, max(1, int(work.cpus)), bool(job.photos_per_person))
        self._tools = ray.put(tools)
        self._checksums: dict[str, dict[str, str]] = {}
        self._of_scan = len(job.protocol.pitches) + bool(job.photos_per_person)
        self._done, self._total = 0, len(items.scans) * (1 + self._of_scan) + len(self._photo_parts())
        self._limit = AHEAD * max(1, int(cluster.total("CPU") / work.cpus))

    def rows(self) -> list[dict[str, Any]]:
        """Rows of everything."""
        rows: list[dict[str, Any]] = []
        waiting: deque[Submission] = deque(self._submissions())
        pending: dict[Any, _Task] = {}
        while waiting or pending:
            while waiting and len(pending) < self._limit:
                reference, task = waiting.popleft()()
                pending[reference] = task
            reference = self._watch.first_done(list(pending))
            task = pending.pop(reference)
            found, following = self._finished(reference, task)
            rows += map(known_values, found)
            waiting.extendleft(following)
            self._done += 1
            self._progress(self._done, self._total)
        order = {item.name: index for index, item in enumerate(self._items.scans)}
        return sorted(rows, key=lambda row: (row["data"], order.get(row["item"], 0), row["item"]))

    def outliers(self, rows: list[dict[str, Any]]) -> list[Outlier]:
        """The worst reconstructions of scans, with pictures."""
        by_key = {(item.data, item.name): item for item in self._items.scans}
        chosen: list[dict[str, Any]] = []
        taken: dict[str, int] = {}
        scored = [row for row in rows if row["status"] == OK and row.get("nme") is not None]
        for row in sorted(scored, key=lambda row: -row["nme"]):
            if len(chosen) < self._job.outliers and taken.get(row["item"], 0) < OUTLIERS_OF_ONE_ITEM:
                chosen.append(row)
                taken[row["item"]] = taken.get(row["item"], 0) + 1
        references = [
            self._watch.remote(tasks.look)(
                self._tools, by_key[row["data"], row["item"]], (row["yaw"], row["pitch"]), row["model"]
            )
            for row in chosen
        ]
        outliers = []
        for row, reference in zip(chosen, references, strict=True):
            # A picture that gets lost with its host is not worth the figures.
            with suppress(FaceReconError, RayError):
                outliers.append(Outlier(row, _result(self._watch.first_done([reference]))))
        return outliers

    def checksums(self) -> dict[str, str]:
        """Of each data set."""
        sums = dict(self._checksums)
        if self._items.photos:
            sums[LANDMARKS] = {photo.name: photo_checksum(photo) for photo in self._items.photos}
        return {data: combined_checksum(some) for data, some in sums.items()}

    def _submissions(self) -> list[Submission]:
        scans = [partial(self._prepare, item) for item in self._items.scans]
        return [*scans, *(partial(self._landmarks, photos) for photos in self._photo_parts())]

    def _prepare(self, item: ScanItem) -> tuple[Any, _Task]:
        def failure(reason: str) -> list[dict[str, Any]]:
            return [{"data": item.data, "item": item.name, "status": UNUSABLE, "error": reason}]

        prepared, verdict = self._watch.remote(tasks.prepare, num_returns=2)(self._tools, item)
        return verdict, _Task(failure, item, prepared)

    def _score(self, item: ScanItem, prepared: Any, angles: list[Angles]) -> tuple[Any, _Task]:
        def failure(reason: str) -> list[dict[str, Any]]:
            lost = {"data": item.data, "item": item.name, "status": NOT_RECONSTRUCTED, "error": reason}
            return [
                lost | {"model": model.name, "yaw": yaw, "pitch": pitch}
                for model in self._models
                for yaw, pitch in angles
            ]

        return self._watch.remote(tasks.score)(self._tools, prepared, angles), _Task(failure)

    def _score_people(self, item: ScanItem, prepared: Any, angles: list[Angles]) -> tuple[Any, _Task]:
        counts = self._job.photos_per_person

        def failure(reason: str) -> list[dict[str, Any]]:
            lost = {"data": item.data, "item": item.name, "status": NOT_RECONSTRUCTED, "error": reason}
            return [lost | {"photos": count, "within": max(abs(yaw) for yaw, _ in angles)} for count in counts]

        return self._watch.remote(tasks.score_people)(self._tools, prepared, angles, counts), _Task(failure)

    def _landmarks(self, photos: list[AnnotatedPhoto]) -> tuple[Any, _Task]:
        def failure(reason: str) -> list[dict[str, Any]]:
            return [{"data": LANDMARKS, "item": photo.name, "status": UNUSABLE, "error": reason} for photo in photos]

        return self._watch.remote(tasks.score_landmarks)(self._tools, photos), _Task(failure)

    def _finished(self, reference: Any, task: _Task) -> tuple[list[dict[str, Any]], list[Submission]]:
        """Rows of a task that has ended, and the tasks that follow from it."""
        try:
            result = _result(reference)
        except (AssetError, SettingsError, *UNUSABLE_HOST):
            raise
        except (FaceReconError, RayError) as error:
            return task.failure(_reason(error)), []
        if task.item is None:
            return result, []
        self._checksums.setdefault(task.item.data, {})[task.item.name] = result.checksum
        if result.row is not None:
            self._done += self._of_scan
            return [result.row], []
        protocol = self._job.protocol
        sides = [[(yaw, pitch) for yaw in protocol.yaws] for pitch in protocol.pitches]
        following: list[Submission] = [partial(self._score, task.item, task.prepared, angles) for angles in sides]
        if self._job.photos_per_person:
            following.append(partial(self._score_people, task.item, task.prepared, list(chain(*sides))))
        return [], following

    def _photo_parts(self) -> list[list[AnnotatedPhoto]]:
        photos, size = list(self._items.photos), self._job.work.photos_a_task
        return [photos[start : start + size] for start in range(0, len(photos), size)]


def _result(reference: Any) -> Any:
    """A task's result; an error for the user is raised as itself."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if (for_the_user := told(error)) is not None:
            raise for_the_user from None
        raise


def _reason(error: Exception) -> str:
    cause = error.cause if isinstance(error, RayTaskError) else error
    text = (str(cause).splitlines() or [""])[0][:200]
    return text if isinstance(cause, FaceReconError) else f"the task failed: {type(cause).__name__}: {text}"
