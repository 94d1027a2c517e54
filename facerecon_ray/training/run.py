"""A training from its settings to its weights: what is checked first, the workers, and what is shown meanwhile."""

import json
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.torch import TorchTrainer

from facerecon_ray.cluster.host_check import sick_hosts
from facerecon_ray.cluster.nodes import Cluster, live_cluster
from facerecon_ray.cluster.placement import Demand, check_room, describe_amounts, unplaced
from facerecon_ray.cluster.scratch import scratch_folder
from facerecon_ray.config.training import RotatorTraining, TrainJob, TwoViewTraining
from facerecon_ray.errors import FaceReconError, InputError, OutputError, SettingsError, TrainingError
from facerecon_ray.storage.layout import FIGURES
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.pairs.dataset_card import card_of_shards, load_card
from facerecon_ray.storage.run_lock import Check, claimed
from facerecon_ray.storage.uris import as_bytes
from facerecon_ray.training.board import Standing, open_board
from facerecon_ray.training.checkpoints import weights_name
from facerecon_ray.training.model_card import CARD, model_card
from facerecon_ray.training.pair_stream import READER_CPUS, pair_dataset
from facerecon_ray.training.recipes.registry import columns_of
from facerecon_ray.training.room import PATIENCE_SECONDS, Room, RoomWatch
from facerecon_ray.training.worker import WorkerTask, work
from facerecon_ray.waiting import announced, repeated, say

SETTINGS = "settings.json"
POLL_SECONDS = 0.5
CPU_STEP = 0.01
"""What is worth telling Ray."""
START_SECONDS = 30.0
"""Within which Ray has usually started the workers."""
SAY_SECONDS = 60.0
"""Between two lines about a lost node."""

Watch = Callable[[Standing], None]
"""Is shown how far the training is, now and then."""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    weights  where the file is
    card     where the model card is
    history  figures of every validation
    skipped  rows that could not be decoded
    reason   why the last of them could not
    """

    weights: str
    card: str
    history: list[dict[str, Any]]
    skipped: int
    reason: str


def run_training(job: TrainJob, watch: Watch = lambda standing: None) -> Trained:
    """Train on the Ray cluster that this process is connected to; a training that was cut off goes on.

    Parameters
    ----------
    job : the settings
    watch : is shown the progress

    Raises
    ------
    FaceReconError
        when the training cannot begin or go on; the last checkpoint is intact
    """
    store = open_store(job.output, job.s3)
    if job.init is not None and not job.init.is_file():
        raise InputError(f"initial weights {job.init}: no such file")
    cluster = live_cluster()
    cpus, threads = _shares(job, cluster)
    board = open_board()
    columns = columns_of(job)
    _check_partners(job, columns)
    datasets = {split: pair_dataset(job, split, columns, board) for split in ("train", "validation")}
    room = Room(_demands(job, cpus), cluster)
    with claimed(store) as check, scratch_folder() as folder:
        store.write(SETTINGS, json.dumps(job.model_dump(mode="json"), indent=1).encode())
        trainer = TorchTrainer(
            work,
            train_loop_config=WorkerTask(job, threads, board),
            scaling_config=ray.train.ScalingConfig(
                num_workers=job.workers.count,
                use_gpu=job.workers.gpus > 0,
                resources_per_worker={"CPU": cpus, **({"GPU": job.workers.gpus} if job.workers.gpus else {})},
            ),
            datasets=datasets,
            run_config=_run_config(job, folder, RoomWatch(board, room, PATIENCE_SECONDS)),
        )
        amounts = describe_amounts({"CPU": cpus, "GPU": job.workers.gpus})
        start = f"room for {job.workers.count} workers with {amounts} each, and for them to start"
        with _watching(board, watch, check, start, room):
            try:
                _fit(trainer)
            except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
                raise _explained(board, error) from None
            if ray.get(board.error.remote()):
                raise _explained(board, None)
        return _finish(job, store, board)


def _fit(trainer: "TorchTrainer") -> None:
    """Ray Train in a thread: in the main one it replaces what Ctrl-C does by an end without a word, exit code 1."""
    pool = ThreadPoolExecutor(1)
    try:
        pool.submit(trainer.fit).result()
    finally:
        pool.shutdown(wait=False)


def _check_partners(job: TrainJob, columns: tuple[str, ...]) -> None:
    """Whether the data have rotated views, where those are needed, and turned as the settings say."""
    photos_only = isinstance(job, RotatorTraining) and job.regime == "self-supervised"
    card = load_card(open_store(job.data, job.s3))
    if card and "rotated" in columns and not photos_only and card.settings.get("pairs", {}).get("partners") is False:
        raise InputError(
            f"data {job.data}: made with pairs.partners=false, so without the rotated views that {job.network} learns "
            "from; make a set with them"
        )
    if card and isinstance(job, TwoViewTraining) and job.fit:
        wanted, made = job.rotate.model_dump(), card.settings.get("rotate", {})
        for name in ("yaw_change", "keep_pitch"):
            if made.get(name, wanted[name]) != wanted[name]:
                raise SettingsError(
                    f"setting 'rotate.{name}': it is {wanted[name]}, but data {job.data} were made with {made[name]}"
                )


def _demands(job: TrainJob, cpus: float) -> list[Demand]:
    """What runs at the same time, the workers with so many CPUs each."""
    workers, readers = job.workers, job.data_stream.readers
    return [
        Demand("workers", {"CPU": cpus, "GPU": workers.gpus}, {}, workers.count),
        Demand("data_stream.readers", {"CPU": READER_CPUS, "GPU": 0.0}, {}, readers),
    ]


def _shares(job: TrainJob, cluster: Cluster) -> tuple[float, int]:
    """CPUs that Ray reserves for each worker, and the threads it computes with.

    Raises
    ------
    SettingsError
        when there is no node on which a worker would find room
    """
    workers = job.workers
    largest = max((node.cpus for node in cluster.nodes), default=0.0)
    steps = range(1, int(largest / CPU_STEP) + 1)
    fitting = bisect_left(steps, True, key=lambda step: bool(unplaced(_demands(job, step * CPU_STEP), cluster)))
    cpus = workers.cpus or round(max(1, fitting) * CPU_STEP, 2)
    check_room(_demands(job, cpus), cluster, "lower workers.count or what each worker gets")
    return cpus, workers.threads or max(1, math.ceil(cpus))


def _run_config(job: TrainJob, folder: Path, room_watch: RoomWatch) -> "ray.train.RunConfig":
    """Ray keeps its own notes apart from the output; checkpoints are this program's."""
    return ray.train.RunConfig(
        name=f"{job.network}-{int(time.time())}",
        storage_path=str(folder),
        failure_config=ray.train.FailureConfig(max_failures=job.workers.failures),
        callbacks=[room_watch],
    )


def _explained(board: Any, error: Exception | None) -> FaceReconError:
    """The error that a worker wrote on the board, else what Ray says."""
    standing = ray.get(board.standing.remote())
    if standing.error is not None:
        return standing.error
    if hosts := sick_hosts():
        return TrainingError(f"training failed: {'; '.join(hosts)}; the last checkpoint is intact")
    cause = error
    failures = getattr(error, "worker_failures", None) or {}
    if failures:
        cause = next(iter(failures.values()))
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return TrainingError(
        f"training failed: {lines[-1].strip()[:300] if lines else type(cause).__name__}; the last checkpoint is intact"
    )


@contextmanager
def _watching(board: Any, watch: Watch, check: Check, start: str, room: Room) -> Iterator[None]:
    starting = ExitStack()
    said = -SAY_SECONDS

    def look() -> None:
        nonlocal said
        with suppress(ray.exceptions.RayError):
            try:
                check()
            except OutputError as error:
                board.fail.remote(error)
            standing = ray.get(board.standing.remote())
            if standing.begun:
                starting.close()
            watch(standing)
            if time.monotonic() - said > SAY_SECONDS and (missing := room.missing()):
                said = time.monotonic()
                say(f"{missing}: waiting for another")

    with starting:
        starting.enter_context(announced(start, START_SECONDS))
        with repeated(look, POLL_SECONDS):
            yield


def _finish(job: TrainJob, store: ObjectStore, board: Any) -> Trained:
    """Write the card and say what there is."""
    history = json.loads(store.read(FIGURES))
    standing = ray.get(board.standing.remote())
    card = card_of_shards(open_store(job.data, job.s3))
    store.write(CARD, as_bytes(model_card(job, history, card)))
    return Trained(
        store.describe(weights_name(job.network)), store.describe(CARD), history, standing.skipped, standing.reason
    )
