"""How many batches a second Ray Data's driver can hand out and take back: stages that do nothing, tiny batches.

Prints batches a second over all stages together, from the first result to the last: the figure
`executor_tasks_per_second` of facerecon_ray/assets/stage_costs.yaml.

    python benchmarks/executor_rate.py --stages 5 --batches 1500
"""

import argparse
import time
from typing import Any

import ray
import ray.data

from facerecon_ray.jobs.session import ray_session


class Nothing:
    """A stage that gives back what it gets."""

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return batch


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", type=int, default=5)
    parser.add_argument("--batches", type=int, default=1500)
    arguments = parser.parse_args()
    with ray_session():
        dataset = ray.data.range(arguments.batches, override_num_blocks=arguments.batches)
        for _ in range(arguments.stages):
            compute = ray.data.ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=64)
            dataset = dataset.map_batches(Nothing, batch_size=None, num_cpus=0.1, compute=compute)
        arrivals = []
        start = time.process_time()
        for _ in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            arrivals.append(time.perf_counter())
        cpu = time.process_time() - start
    seconds = arrivals[-1] - arrivals[0]
    tasks = (len(arrivals) - 1) * arguments.stages
    print(f"{tasks / seconds:.0f} batches a second by wall time, {tasks / cpu:.0f} by the driver's CPU time")


if __name__ == "__main__":
    main()
