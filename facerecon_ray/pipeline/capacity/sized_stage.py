"""A stage of which it is decided how many workers it gets, and what each worker gets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from facerecon_ray.pipeline.capacity.stage_costs import StageCost


@dataclass(frozen=True)
class Pool:
    """Workers of one stage, all decided.

    min_workers   started at once
    workers       most that may run
    cpus, gpus    reserved for each
    batch_size    rows in one call
    resources     custom resources reserved for each
    labels        of the nodes that may run them
    """

    min_workers: int
    workers: int
    cpus: float
    gpus: float
    batch_size: int
    resources: Mapping[str, float]
    labels: Mapping[str, str]

    @property
    def is_range(self) -> bool:
        """Whether the pool may grow and shrink."""
        return self.min_workers < self.workers

    @property
    def amounts(self) -> dict[str, float]:
        """What each worker reserves, by Ray's names."""
        return {"CPU": self.cpus, "GPU": self.gpus, **self.resources}


class Part(NamedTuple):
    """One of several stages that share workers: its name, number of steps, cost, and whether its rows are faces."""

    name: str
    steps: int
    cost: StageCost
    of_faces: bool = False


@dataclass(frozen=True)
class SizedStage:
    """A planned stage whose pool is decided.

    parts     the stages that share its workers; none where it is one stage
    of_faces  whether its rows are faces; those of others are photos
    """

    name: str
    steps: tuple[Callable[[], Any], ...]
    pool: Pool
    cost: StageCost
    parts: tuple[Part, ...] = ()
    of_faces: bool = False

    @property
    def gpu_seconds(self) -> float:
        """Of a GPU for one photo; 0 where the pool has none or the stage cannot use it."""
        return self.cost.gpu_seconds(self.pool.gpus)

    @property
    def cpu_seconds(self) -> float:
        """Of a CPU thread for one photo."""
        return self.cost.cpu_seconds(self.pool.gpus)

    @property
    def seconds(self) -> float:
        """That one worker takes for one photo."""
        return self.cost.seconds(self.pool.gpus)
