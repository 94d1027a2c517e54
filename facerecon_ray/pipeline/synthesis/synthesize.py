"""Training data sets on Ray Data: runs of subjects in, one shard file each out."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import cv2
import pyarrow as pa
import pyarrow.compute as pc
import ray
import ray.data
from ray.actor import ActorHandle
from rich.console import Console

from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.cluster.placement import Demand, check_room, hide_gpus, room_for
from facerecon_ray.cluster.worker_errors import WorkerError, arriving
from facerecon_ray.config.settings import WorkerRange
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import FaceReconError, OutputError, StorageError
from facerecon_ray.pipeline.progress import JobProgress, show_progress
from facerecon_ray.pipeline.session import ray_session
from facerecon_ray.pipeline.synthesis.synthesis_preparation import PreparedSet, ShardTask, views_of_each
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import DatasetCard, MakingRun, load_card, save_card
from facerecon_ray.storage.pairs.pair_shards import delete_shards, shard_summaries, write_shard
from facerecon_ray.storage.run_lock import Check, claimed

if TYPE_CHECKING:
    from facerecon_ray.pipeline.synthesis.pair_source import PairSource

    OpenSource = Callable[[SynthesisJob], PairSource]

_POLL_SECONDS = 0.5
# Sums of floating-point numbers depend on how many threads share them.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class MadeSet:
    """What a run did, and what the set holds now."""

    run: MakingRun
    card: DatasetCard
    views_per_second: float | None


class ViewCounter:
    """Counts views as they are made; an actor, for shards are too coarse to show progress."""

    def __init__(self) -> None:
        self._views = self._pairs = 0

    def add(self, views: int, pairs: int) -> None:
        """Count views, and those of them that became pairs."""
        self._views += views
        self._pairs += pairs

    def totals(self) -> tuple[int, int]:
        """All views and pairs so far."""
        return self._views, self._pairs


class ShardWorker:
    """Makes the shards that it is given, one after the other.

    An error while starting waits for the first shard: raised there it reaches the driver and ends the job.
    """

    def __init__(self, job: SynthesisJob, counter: "ActorHandle[Any]", source: "OpenSource | None") -> None:
        self._job, self._counter = job, counter
        self._store = open_store(job.output, job.s3)
        self._error: Exception | None = None
        try:
            # In the workers only: anny, torch and OpenGL take seconds that the driver has no use for.
            if not job.pool.gpus:
                hide_gpus()
            import torch

            from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
            from facerecon_ray.pipeline.synthesis.pair_source import open_source

            torch.set_num_threads(1)
            cv2.setNumThreads(1)
            self._maker = PairMaker(job, (source or open_source)(job))
        except Exception as error:  # noqa: BLE001 - raised by the first call
            self._error = error

    def __call__(self, batch: Batch) -> Batch:
        try:
            if self._error is not None:
                raise self._error
            for index, first, subjects in zip(*(batch[name] for name in ("index", "first", "subjects")), strict=True):
                self._make(ShardTask(int(index), int(first), int(subjects)))
            return {"index": batch["index"]}
        except FaceReconError as error:
            raise WorkerError(error) from None

    def _make(self, task: ShardTask) -> None:
        self._maker.seconds.clear()
        tables: list[pa.Table] = []
        for number in range(task.first, task.first + task.subjects):
            rows = self._maker.rows(number)
            tables.append(rows)
            self._counter.add.remote(len(rows), pc.sum(pc.equal(rows["status"], OK)).as_py())
        write_shard(self._store, task.index, tables, task.first, dict(self._maker.seconds))


def run_synthesis(
    prepared: PreparedSet, console: Console, address: str | None = None, source: "OpenSource | None" = None
) -> MadeSet:
    """Make every shard that is missing.

    Whatever ends the run early, finished shards stay, the card says what is there, and the same job continues.

    Parameters
    ----------
    prepared : from `prepare_synthesis`
    console : shows the progress
    address : of a running Ray cluster; without one RAY_ADDRESS, and without that a cluster of its own
    source : opens where subjects come from, in each worker; without one, what the job's settings name

    Raises
    ------
    FaceReconError
        when the output cannot be written or another run writes to it, an asset is of the wrong kind, or the cluster is
        too small
    """
    with claimed(prepared.store) as check:
        if load_card(prepared.store) != prepared.earlier:
            raise OutputError(f"output {prepared.store.uri}: another run has written to it meanwhile; start again")
        return _run(prepared, console, address, source, check)


def _run(
    prepared: PreparedSet, console: Console, address: str | None, source: "OpenSource | None", check: Check
) -> MadeSet:
    store, card = prepared.store, prepared.card
    if prepared.earlier and not prepared.done:
        delete_shards(store)
    run = MakingRun(started=_now())
    for earlier in card.runs:
        if earlier.outcome == "running":
            earlier.outcome = "killed"
    card.runs.append(run)
    save_card(store, card)
    start = time.monotonic()
    rate = None
    try:
        rate = _make(prepared, run, console, address, source, check)
        run.outcome = "finished"
    except BaseException as error:
        run.outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(FaceReconError):
            check()
            _close(prepared, run, start)
        if isinstance(error, StorageError):
            raise StorageError(f"{error}; finished shards stay, the same command makes the others") from None
        raise
    _close(prepared, run, start)
    return MadeSet(run, card, rate)


def _make(
    prepared: PreparedSet,
    run: MakingRun,
    console: Console,
    address: str | None,
    source: "OpenSource | None",
    check: Check,
) -> float | None:
    """Views a second, once the first shards are on their way."""
    job, todo = prepared.job, prepared.todo
    with ray_session(address):
        workers, options = _pool(job, len(todo))
        counter = ray.remote(num_cpus=0)(ViewCounter).remote()
        tasks = [pa.table({"index": [t.index], "first": [t.first], "subjects": [t.subjects]}) for t in todo]
        dataset = ray.data.from_arrow(tasks).map_batches(
            ShardWorker,
            fn_constructor_args=(job, counter, source),
            batch_format="numpy",
            batch_size=None,
            # A shard takes long: one that waited for a busy worker would keep another worker idle.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            runtime_env={"env_vars": _ONE_THREAD},
            **options,
        )
        views = views_of_each(job)
        total = views and sum(task.subjects for task in todo) * views
        with show_progress(total, console, nouns=("views", "pairs")) as progress, _counting(counter, progress):
            for _ in arriving(dataset):
                check()
        run.views = progress.photos
        rates = progress.rates()
        return round(rates[0], 2) if rates else None


def _pool(job: SynthesisJob, shards: int) -> tuple[int, dict[str, Any]]:
    """Number of workers, and what each gets of the cluster."""
    pool, cluster = job.pool, live_cluster()
    cpus = pool.cpus or 1.0
    amounts = {"CPU": cpus, "GPU": pool.gpus or 0.0, **pool.resources}
    wanted = pool.workers.max if isinstance(pool.workers, WorkerRange) else pool.workers
    demand = Demand("pool", amounts, pool.labels, min(wanted or shards, shards))
    workers = demand.workers if wanted else max(1, room_for(demand, cluster))
    check_room([replace(demand, workers=workers)], cluster, "lower pool.workers or what each worker gets")
    options = {
        "num_cpus": cpus,
        "num_gpus": pool.gpus or 0.0,
        "resources": dict(pool.resources) or None,
        "label_selector": dict(pool.labels) or None,
    }
    return workers, options


@contextmanager
def _counting(counter: "ActorHandle[Any]", progress: JobProgress) -> Iterator[None]:
    """Show what the counter counts, for the duration."""
    stop = threading.Event()

    def poll() -> None:
        with suppress(ray.exceptions.RayError):
            views, pairs = ray.get(counter.totals.remote())
            if views > progress.photos:
                new, paired = views - progress.photos, pairs - progress.faces
                progress.add(new, paired, new - paired)

    def watch() -> None:
        while not stop.wait(_POLL_SECONDS):
            poll()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        poll()


def _close(prepared: PreparedSet, run: MakingRun, start: float) -> None:
    """Bring the card up to date with what is there."""
    run.seconds, run.finished = round(time.monotonic() - start, 3), _now()
    done = len(prepared.done) + len(prepared.todo)
    prepared.card.summarise(shard_summaries(prepared.store), done)
    run.outcome = "failed" if prepared.card.fruitless else run.outcome
    save_card(prepared.store, prepared.card)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
