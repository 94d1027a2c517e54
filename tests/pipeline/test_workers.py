"""Stage workers as Ray runs them."""

import os
from typing import Any

import pytest
import ray

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
