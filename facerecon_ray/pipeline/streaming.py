"""Photos through the stages: one Ray Data pipeline of actor pools."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import pyarrow as pa
import ray
import ray.data

from facerecon_ray.cluster.worker_errors import arriving
from facerecon_ray.pipeline.capacity.actor_pools import pool_options
from facerecon_ray.pipeline.capacity.pools import Pools
from facerecon_ray.pipeline.capacity.sized_stage import Pool, SizedStage
from facerecon_ray.pipeline.ledger import start_ledger
from facerecon_ray.pipeline.manifest_writer import POSITION, SHARD, Arrived, ManifestWriter
from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.pipeline.stalls import StallWatch
from facerecon_ray.pipeline.workers import worker_class
from facerecon_ray.stages.stage import OK
from facerecon_ray.storage.photos.photo_plan import SPAN
from facerecon_ray.storage.run_lock import Check

_CALLS_IN_HAND = 2
_SHARDS_IN_HAND = 2


def stream(
    works: Sequence[ShardWork],
    pools: Pools,
    writer: ManifestWriter,
    count: Callable[[Arrived], None],
    check: Check,
    batch_seconds: float,
) -> None:
    """Pass shards through the stages and their rows to the writer.

    Parameters
    ----------
    works : announced to the writer
    pools : of the stages
    count : is told of what has arrived
    check : raises when the output is not this run's any more
    batch_seconds : time limit of a worker for a batch

    Raises
    ------
    StalledError
        when some of the workers find no room and the others have nothing to do
    FaceReconError
        as a worker raised it
    """
    photos = pa.concat_tables(map(_table, works))
    ledger = start_ledger(window(pools.stages, works), batch_seconds)
    try:
        with StallWatch(ledger, pools).watching():
            for rows in arriving(build_dataset(photos, pools.stages, ledger)):
                check()
                count(writer.add(rows, ledger.record.remote))
    finally:
        writer.settle()


def build_dataset(photos: pa.Table, stages: list[SizedStage], ledger: Any) -> "ray.data.Dataset":
    """Photos through the stages, each stage in its own pool of actors.

    Ray hands out new work about ten times a second and a block at a time, so a block must last longer than that: but
    few photos are cut into small blocks, that every worker gets some.
    """
    rows = min(rows_per_call(len(photos), stage.pool) for stage in stages if not stage.of_faces)
    blocks = [photos.slice(start, rows).combine_chunks() for start in range(0, len(photos), rows)]
    # Not from_arrow: it has a task look at each block, which keeps the first stage from starting for seconds.
    dataset = ray.data.from_blocks(blocks)
    for number, stage in enumerate(stages):
        dataset = dataset.map_batches(
            worker_class(stage),
            fn_constructor_args=(stage, ledger, number == 0),
            batch_format="numpy",
            batch_size=rows_per_call(len(photos), stage.pool) if stage.of_faces else rows,
            **pool_options(stage.pool, len(blocks), len(photos) * stage.seconds),
        )
    return dataset


def rows_per_call(photos: int, pool: Pool) -> int:
    """Rows that a worker gets at a time: the pool's batch size, or fewer when there is little to share out."""
    return min(pool.batch_size, max(1, ceil(photos / (4 * pool.workers))))


def window(stages: list[SizedStage], works: Sequence[ShardWork]) -> int:
    """Photos that may be begun and not yet be in the manifest.

    Every worker has a call in hand and one to come, and the rows of a shard wait for its last photo.
    """
    photos = sum(len(work.todo) for work in works)
    in_workers = sum(stage.pool.workers * rows_per_call(photos, stage.pool) for stage in stages)
    return _CALLS_IN_HAND * in_workers + _SHARDS_IN_HAND * max(len(work.shard.photos) for work in works)


def _table(work: ShardWork) -> pa.Table:
    photos, places = work.photos(), work.places()
    count = len(photos)
    columns = {"photo_uri": photos, POSITION: places, "status": [OK] * count, "error": [""] * count}
    columns[SHARD] = [work.shard.number] * count
    columns["span"] = pa.array([span and span._asdict() for span in work.spans()], SPAN)
    if sides := work.sides():
        columns["side_photo_uri"] = sides
    return pa.table(columns)
