"""Training pairs as they stream from their shards to the workers: no process holds the whole set.

Ray starts several processes that only pass rows on; torch is not imported here, for each would load it for seconds.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import ray
import ray.data
from ray.actor import ActorHandle

from facerecon_ray.cluster.ray_data_internals import ExecutionCallback
from facerecon_ray.config.training import TrainJob
from facerecon_ray.errors import FaceReconError, InputError
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import open_data_set
from facerecon_ray.storage.pairs.pair_shards import read_pairs, shard_summaries

READER_CPUS = 0.5
"""CPUs that Ray reserves for each reader: it decodes in less time than a step takes."""

ROWS_AT_ONCE = 32

ROUND_SECONDS = 0.02
"""Ray Data's executor goes round without a pause while finished rows wait for the training to take them, which costs
a whole CPU; a round that ends sooner is made to last as long as this."""


class UnhurriedRounds(ExecutionCallback):
    """Called by the executor in each of its rounds."""

    def __init__(self) -> None:
        self._last = 0.0

    def on_execution_step(self, executor: Any) -> None:
        """Wait until the round has lasted long enough."""
        time.sleep(max(0.0, self._last + ROUND_SECONDS - time.monotonic()))
        self._last = time.monotonic()


def shards_of(job: TrainJob, split: str) -> list[int]:
    """Numbers of the shards that hold rows of a split.

    Raises
    ------
    InputError
        when the data have no card, no shard is finished, or none holds such rows
    """
    store = open_data_set(job.data, job.s3)
    summaries = shard_summaries(store)
    found = sorted(index for index, summary in summaries.items() if summary.counts["split"].get(split))
    if not found:
        raise InputError(f"data {store.uri}: no rows for {split}; make more subjects, or change the set's split")
    return found


def pair_dataset(
    job: TrainJob, split: str, columns: tuple[str, ...], damage: "ActorHandle[Any]"
) -> "ray.data.Dataset":
    """Rows of a split as a Ray data set that reads a shard when its rows are wanted.

    Parameters
    ----------
    job : names the data
    split : train or validation
    columns : of PAIR_SCHEMA
    damage : is told of rows that cannot be decoded, which are left out, and of errors
    """
    shards = [{"shard": index} for index in shards_of(job, split)]
    callbacks = ray.data.DataContext.get_current().custom_execution_callback_classes
    if UnhurriedRounds not in callbacks:
        callbacks.append(UnhurriedRounds)
    return ray.data.from_items(shards, override_num_blocks=len(shards)).map_batches(
        _read_shard,
        fn_kwargs={"job": job, "split": split, "columns": columns, "damage": damage},
        batch_size=None,
        batch_format="numpy",
        num_cpus=READER_CPUS,
        compute=ray.data.TaskPoolStrategy(size=job.data_stream.readers),
    )


def _read_shard(
    batch: dict[str, np.ndarray], job: TrainJob, split: str, columns: tuple[str, ...], damage: "ActorHandle[Any]"
) -> Iterator[dict[str, np.ndarray]]:
    store = open_store(job.data, job.s3)

    def skipped(reason: str) -> None:
        # Waits: a reader may end, and with it a call under way, as soon as its shard is read.
        ray.get(damage.skip_row.remote(reason))

    for shard in batch["shard"].tolist():
        waiting: list[dict[str, np.ndarray]] = []
        try:
            for subject in read_pairs(store, split, "ok", columns, [shard], skipped):
                waiting.append(subject)
                if sum(len(rows[columns[0]]) for rows in waiting) >= ROWS_AT_ONCE:
                    yield _joined(waiting)
                    waiting = []
        except FaceReconError as error:
            ray.get(damage.fail.remote(error))
            raise
        if waiting:
            yield _joined(waiting)


def _joined(subjects: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([rows[name] for rows in subjects]) for name in subjects[0]}


def endless_batches(stream: "ray.data.DataIterator", job: TrainJob, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches of `job.batch_size` rows, passing over the data again and again, mixed anew each time."""
    passes = 0
    while True:
        empty = True
        for batch in stream.iter_batches(
            batch_size=job.batch_size,
            batch_format="numpy",
            drop_last=True,
            prefetch_batches=2,
            local_shuffle_buffer_size=max(job.data_stream.shuffle_rows, job.batch_size),
            local_shuffle_seed=seed + passes,
        ):
            empty = False
            yield batch
        if empty:
            raise InputError(
                f"data {job.data}: a worker's part of the training rows is smaller than batch_size {job.batch_size}; "
                "make more subjects, or lower batch_size or workers.count"
            )
        passes += 1
