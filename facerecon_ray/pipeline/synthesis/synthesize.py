"""Training data sets on Ray: runs of subjects in, one shard file each out."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray import cloudpickle
from ray.actor import ActorHandle
from rich.console import Console

from facerecon_ray.cluster.keepers import beside_the_driver
from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.cluster.placement import Demand, check_room, hide_gpus, room_for
from facerecon_ray.cluster.tasks import TaskWatch
from facerecon_ray.cluster.worker_errors import explained
from facerecon_ray.config.settings import WorkerRange
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import FaceReconError, OutputError, StorageError
from facerecon_ray.jobs.session import ray_session
from facerecon_ray.pipeline.progress import JobProgress, show_progress
from facerecon_ray.pipeline.synthesis.synthesis_preparation import PreparedSet, ShardTask, views_of_each
from facerecon_ray.stages.stage import OK
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import DatasetCard, MakingRun, load_card, save_card
from facerecon_ray.storage.pairs.pair_shards import delete_shards, shard_summaries, write_shard
from facerecon_ray.storage.run_lock import Check, claimed
from facerecon_ray.storage.starts import with_start
from facerecon_ray.waiting import repeated

if TYPE_CHECKING:
    from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
    from facerecon_ray.pipeline.synthesis.pair_source import PairSource

    OpenSource = Callable[[SynthesisJob], PairSource]

_POLL_SECONDS = 0.5
_CONTINUES = "finished shards stay, the same command makes the others"
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


def make_shard(plan: bytes, task: ShardTask, counter: "ActorHandle[Any]") -> None:
    """Make a shard and write it; runs as a task.

    Parameters
    ----------
    plan : pickled job, and what opens where subjects come from, None for what the job's settings name
    counter : is told of the views
    """
    job, maker = _maker(plan)
    maker.seconds.clear()
    tables: list[pa.Table] = []
    for number in range(task.first, task.first + task.subjects):
        rows = maker.rows(number)
        tables.append(rows)
        counter.add.remote(len(rows), pc.sum(pc.equal(rows["status"], OK)).as_py())
    write_shard(open_store(job.output, job.s3), task.index, tables, task.first, dict(maker.seconds))


@lru_cache(maxsize=1)
def _maker(plan: bytes) -> "tuple[SynthesisJob, PairMaker]":
    """Loaded at the first shard of a process: anny, torch and OpenGL take seconds that the driver has no use for."""
    job, source = pickle.loads(plan)
    if not job.pool.gpus:
        hide_gpus()
    import torch

    from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
    from facerecon_ray.pipeline.synthesis.pair_source import open_source

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return job, PairMaker(job, (source or open_source)(job))


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
    run = MakingRun()
    card.runs = with_start(card.runs, run)
    save_card(store, card)
    try:
        with run.noted():
            rate = _make(prepared, run, console, address, source, check)
    except BaseException as error:
        with suppress(FaceReconError):
            check()
            _close(prepared, run)
        if isinstance(error, StorageError):
            raise StorageError(f"{error}; {_CONTINUES}") from None
        raise
    _close(prepared, run)
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
    job, todo = prepared.job, deque(prepared.todo)
    views = views_of_each(job)
    total = views and sum(task.subjects for task in todo) * views
    with ray_session(address, runtime_environments=True):
        demand = _demand(job, len(todo))
        counter = beside_the_driver(ViewCounter).remote()
        plan = cloudpickle.dumps((job, source))
        watch = TaskWatch(demand, _CONTINUES)
        make = watch.remote(make_shard, runtime_env={"env_vars": _ONE_THREAD})
        pending: dict[Any, ShardTask] = {}
        with show_progress(total, console, nouns=("views", "pairs")) as progress, _counting(counter, progress):
            while todo or pending:
                while todo and len(pending) < demand.workers:
                    task = todo.popleft()
                    pending[make(plan, task, counter)] = task
                done = watch.first_done(list(pending))
                task = pending.pop(done)
                with explained(f"it made subjects {task.first} to {task.first + task.subjects - 1}; {_CONTINUES}"):
                    ray.get(done)
                check()
        run.views = progress.photos
        rates = progress.rates()
        return round(rates[0], 2) if rates else None


def _demand(job: SynthesisJob, shards: int) -> Demand:
    """The workers, of which each makes one shard after the other."""
    pool, cluster = job.pool, live_cluster()
    amounts = {"CPU": pool.cpus or 1.0, "GPU": pool.gpus or 0.0, **pool.resources}
    wanted = pool.workers.max if isinstance(pool.workers, WorkerRange) else pool.workers
    demand = Demand("synthesize", amounts, pool.labels, min(wanted or shards, shards))
    demand = demand if wanted else replace(demand, workers=max(1, room_for(demand, cluster)))
    check_room([replace(demand, name="pool")], cluster, "lower pool.workers or what each worker gets")
    return demand


@contextmanager
def _counting(counter: "ActorHandle[Any]", progress: JobProgress) -> Iterator[None]:
    """Show what the counter counts, for the duration."""

    def poll() -> None:
        with suppress(ray.exceptions.RayError):
            views, pairs = ray.get(counter.totals.remote())
            if views > progress.photos:
                new, paired = views - progress.photos, pairs - progress.faces
                progress.add(new, paired, new - paired)

    with repeated(poll, _POLL_SECONDS):
        yield


def _close(prepared: PreparedSet, run: MakingRun) -> None:
    """Bring the card up to date with what is there."""
    done = len(prepared.done) + len(prepared.todo)
    prepared.card.summarise(shard_summaries(prepared.store), done)
    run.outcome = "failed" if prepared.card.fruitless else run.outcome
    save_card(prepared.store, prepared.card)
