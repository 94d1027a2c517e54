"""Measured costs of the stages, from assets/stage_costs.yaml, which says how they were measured."""

from dataclasses import dataclass
from functools import cache

import yaml

from facerecon_ray.config.assets import STAGE_COSTS


@dataclass(frozen=True)
class StageCost:
    """What one photo with one face costs in a stage, in seconds.

    cpu    of one CPU thread, where no GPU is used
    gpu    of a GPU; None where the stage cannot use one
    host   of the CPU thread beside the GPU
    wait   that the worker waits for storage, with nothing to compute
    """

    cpu: float = 0.0
    gpu: float | None = None
    host: float = 0.0
    wait: float = 0.0

    def gpu_seconds(self, gpus: float) -> float:
        """Of a GPU, for a worker with so many; 0 where it has none or cannot use it."""
        return (self.gpu or 0.0) if gpus else 0.0

    def cpu_seconds(self, gpus: float) -> float:
        """Of a CPU thread, for a worker with so many GPUs."""
        return self.host if self.gpu_seconds(gpus) else self.cpu

    def seconds(self, gpus: float) -> float:
        """That a worker with so many GPUs takes."""
        return self.gpu_seconds(gpus) + self.cpu_seconds(gpus) + self.wait


@dataclass(frozen=True)
class CostTable:
    """All costs, and what they are worth.

    gpu_measured                whether the GPU figures are measured on GPUs of the type in question, or estimates
    efficiency                  of a whole job against what its slowest part could do alone
    executor_tasks_per_second   batches that Ray Data's driver can hand out, all stages together
    stages                      cost by <stage>.<variant>
    """

    gpu_measured: bool
    efficiency: float
    executor_tasks_per_second: float
    stages: dict[str, StageCost]

    def of(self, name: str) -> StageCost:
        """Cost of a stage, or of several joined by "+" on CPUs; nothing for one that is not in the table."""
        costs = [self.stages.get(part, StageCost()) for part in name.split("+")]
        if len(costs) == 1:
            return costs[0]
        return StageCost(cpu=sum(cost.cpu for cost in costs), wait=sum(cost.wait for cost in costs))


@cache
def cost_table(gpu_type: str | None = None) -> CostTable:
    """The table that comes with the package.

    Parameters
    ----------
    gpu_type : of the GPUs that the stages run on, as Ray names it; what was not measured on it is estimated
    """
    tree = yaml.safe_load(STAGE_COSTS.read_text("utf-8"))
    measured = tree["gpus"].get(gpu_type, {})
    stages = {
        name: StageCost(**{kind: milliseconds / 1000 for kind, milliseconds in figures.items()})
        for name, figures in _with_measured(tree["stages"], measured).items()
    }
    return CostTable(bool(measured), tree["efficiency"], tree["executor_tasks_per_second"], stages)


def _with_measured(
    stages: dict[str, dict[str, float]], measured: dict[str, dict[str, float]]
) -> dict[str, dict[str, float]]:
    return {name: {**figures, **measured.get(name, {})} for name, figures in stages.items()}
