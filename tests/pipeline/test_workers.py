"""Stage workers as Ray runs them."""

import os
import platform
from typing import Any

import psutil
import pytest
import ray

from facerecon_ray.pipeline import workers
from facerecon_ray.pipeline.capacity.sized_stage import Pool, SizedStage
from facerecon_ray.pipeline.capacity.stage_costs import StageCost
from facerecon_ray.pipeline.ledger import start_ledger
from facerecon_ray.pipeline.workers import StageWorker


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(("gpus", "seen"), [(0.0, ""), (0.5, "0,1")])
def test_a_worker_sees_gpus_only_where_its_pool_has_some(gpus: float, seen: str):
    def found() -> Any:
        stage = SizedStage("crop", (), Pool(1, 1, 0.1, gpus, 8, {}, {}), StageCost())

        class Probe:
            def look(self, ledger: Any) -> str | None:
                StageWorker(stage, ledger, False)
                return os.environ.get("CUDA_VISIBLE_DEVICES")

        return ray.remote(Probe)

    # What a node with two GPUs gives to workers that reserve none.
    node = {"env_vars": {"CUDA_VISIBLE_DEVICES": "0,1"}}
    probe = found().options(num_cpus=0, runtime_env=node).remote()
    assert ray.get(probe.look.remote(start_ledger(10, 600.0))) == seen


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such call")
def test_what_a_batch_leaves_free_between_what_stays_is_given_back() -> None:
    # Below the size from which the C library maps memory apart; every thousandth piece stays.
    pieces = [bytearray(100_000) for _ in range(2000)]
    kept = pieces[::1000]
    kept.append(pieces[-1])
    before = psutil.Process().memory_info().rss
    del pieces
    workers._give_memory_back()
    assert len(kept) == 3 and psutil.Process().memory_info().rss < before - 150_000_000
