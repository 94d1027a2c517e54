import pytest

from facerecon_ray.pipeline.capacity.actor_pools import pool_options
from facerecon_ray.pipeline.capacity.sized_stage import Pool

POOL = Pool(8, 8, 1.0, 0.0, 16, {}, {})


@pytest.mark.parametrize(
    ("blocks", "seconds", "workers"), [(None, 0.0, 8), (3, 0.0, 3), (100, 1.2, 1), (100, 10.0, 4), (100, 900.0, 8)]
)
def test_workers_are_started_for_blocks_and_for_work_that_is_worth_a_start(blocks: int, seconds: float, workers: int):
    pool = pool_options(POOL, blocks, seconds)["compute"]
    assert (pool.min_size, pool.max_size) == (workers, workers)
