"""Actors that keep what workers tell where it outlives them."""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


def beside_the_driver(keeper: type) -> Any:
    """A class as an actor on the driver's node, with which it ends, or when nobody holds its handle any more."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(keeper)
