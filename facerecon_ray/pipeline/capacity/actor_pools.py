"""A sized pool as options of Ray Data."""

from math import ceil
from typing import Any

import ray.data

from facerecon_ray.pipeline.capacity.sized_stage import Pool, SizedStage

_QUEUED_BLOCKS = 4
_START_SECONDS = 3.0
"""CPU time for Python, torch and models."""


def pool_options(pool: Pool, blocks: int | None = None, seconds: float = 0.0) -> dict[str, Any]:
    """Keyword arguments for `Dataset.map_batches` with a class that runs in the pool.

    Parameters
    ----------
    pool : from sizing.size_stages
    blocks : blocks that there are to process, None when unknown; more workers than blocks are not started
    seconds : of one worker, for all of them, 0 when unknown; a worker is not started for less than its start takes
    """
    most = pool.workers if blocks is None else max(1, min(pool.workers, blocks))
    if seconds:
        most = min(most, ceil(seconds / _START_SECONDS))
    return {
        "num_cpus": pool.cpus,
        "num_gpus": pool.gpus,
        "resources": dict(pool.resources) or None,
        "label_selector": dict(pool.labels) or None,
        "compute": ray.data.ActorPoolStrategy(
            min_size=min(pool.min_workers, most), max_size=most, max_tasks_in_flight_per_actor=_QUEUED_BLOCKS
        ),
    }


def pools_record(stages: list[SizedStage]) -> dict[str, dict[str, Any]]:
    """Pools by stage, as JSON values for the run's record."""
    return {
        stage.name: {
            "workers": stage.pool.workers,
            "min_workers": stage.pool.min_workers,
            "cpus": round(stage.pool.cpus, 4),
            "gpus": round(stage.pool.gpus, 4),
            "batch_size": stage.pool.batch_size,
        }
        for stage in stages
    }
