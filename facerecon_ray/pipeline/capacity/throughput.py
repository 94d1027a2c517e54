"""What a job will do on a cluster, from the stages' costs: photos a second, what limits them, and what to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from facerecon_ray.cluster.nodes import Cluster
from facerecon_ray.cluster.placement import Demand, unplaced
from facerecon_ray.pipeline.capacity.sized_stage import SizedStage
from facerecon_ray.pipeline.capacity.sizing import shortage
from facerecon_ray.pipeline.capacity.stage_costs import cost_table

# Ray Data's driver looks for idle workers ten times a second; a worker has at most four batches before it.
_TICK_SECONDS = 0.1
_QUEUED_BATCHES = 4
_NEARLY = 1.05
_STARVED = 0.8
_IDLE = 0.5


@dataclass(frozen=True)
class Forecast:
    """Outcome of the calculation.

    rates               photos a second that each stage's workers can do, by stage
    limits              photos a second that something shared allows: "CPUs", "GPUs", "Ray's driver"
    bottleneck          the stage or shared thing that is slowest
    photos_per_second   of the whole job
    problem             why the job cannot start on the cluster, "" when it can
    warnings            settings that starve a stage or waste machines, with what to do
    """

    rates: dict[str, float]
    limits: dict[str, float]
    bottleneck: str
    photos_per_second: float
    problem: str
    warnings: list[str]

    def hours(self, photos: int) -> float:
        """That a number of photos takes, without the start of the cluster."""
        return photos / self.photos_per_second / 3600


def forecast(stages: Sequence[SizedStage], cluster: Cluster, faces_per_photo: float = 1.0) -> Forecast:
    """Calculate what limits a job.

    A stage does no more than its workers, and all stages together no more than the cluster's CPUs, its GPUs and the
    driver that hands out batches. Photos a second is the smallest of these, less what whole jobs were seen to lose.

    Parameters
    ----------
    stages : sized, in order
    cluster : the nodes
    faces_per_photo : on average, photos without a face included
    """
    rows = {stage.name: _rows_per_photo(stage, faces_per_photo) for stage in stages}
    rates = {stage.name: _ratio(stage.pool.workers, stage.seconds * rows[stage.name]) for stage in stages}
    tasks = sum(rows[stage.name] / stage.pool.batch_size for stage in stages)
    limits = {
        "CPUs": _ratio(cluster.total("CPU"), sum(stage.cpu_seconds * rows[stage.name] for stage in stages)),
        "GPUs": _ratio(cluster.total("GPU"), sum(stage.gpu_seconds * rows[stage.name] for stage in stages)),
        "Ray's driver": _ratio(cost_table().executor_tasks_per_second, tasks),
    }
    everything = {**rates, **limits}
    bottleneck = min(everything, key=lambda name: everything[name])
    rate = everything[bottleneck]
    problem = shortage(stages, cluster)
    warnings = [] if problem else _warnings(stages, cluster, rates, limits, rate)
    return Forecast(rates, limits, bottleneck, rate * cost_table().efficiency, problem, warnings)


def _rows_per_photo(stage: SizedStage, faces: float) -> float:
    """Rows of a stage for each photo, with so many faces; of stages that share their workers, by what these cost."""
    if not stage.parts:
        return faces if stage.of_faces else 1.0
    of_faces = sum(part.cost.cpu for part in stage.parts if part.of_faces)
    return 1 + (faces - 1) * of_faces / stage.cpu_seconds


def _ratio(amount: float, seconds: float) -> float:
    return amount / seconds if seconds else inf


def _warnings(
    stages: Sequence[SizedStage], cluster: Cluster, rates: dict[str, float], limits: dict[str, float], rate: float
) -> list[str]:
    warnings = []
    slowest = min(stages, key=lambda stage: rates[stage.name])
    others = min([limits["CPUs"], limits["GPUs"], *(rates[stage.name] for stage in stages if stage is not slowest)])
    if rates[slowest.name] < _STARVED * others:
        wanted = ceil(slowest.pool.workers * others / rates[slowest.name])
        warnings.append(
            f"pools.{slowest.name}: {slowest.pool.workers} workers do {rates[slowest.name]:.1f} photos/s where all "
            f"else could do {others:.1f}; set pools.{slowest.name}.workers to {wanted}"
        )
    if limits["Ray's driver"] <= rate * _NEARLY:
        warnings.append(
            f"Ray's driver hands out {cost_table().executor_tasks_per_second:g} batches a second at most; "
            "raise batch_size of the pools"
        )
    for stage in stages:
        queued = _QUEUED_BATCHES * stage.pool.batch_size * stage.seconds
        if rates[stage.name] <= rate * _NEARLY and 0 < queued < _TICK_SECONDS:
            warnings.append(
                f"pools.{stage.name}: {_QUEUED_BATCHES} batches of {stage.pool.batch_size} last "
                f"{queued * 1000:.0f} ms, less than the {_TICK_SECONDS * 1000:.0f} ms between two rounds of Ray's "
                "driver, so workers wait; "
                f"raise pools.{stage.name}.batch_size to {ceil(_TICK_SECONDS / _QUEUED_BATCHES / stage.seconds)}"
            )
        if stage.pool.gpus and stage.cost.gpu is None:
            warnings.append(f"pools.{stage.name}: the stage has no use for a GPU; set pools.{stage.name}.gpus to 0")
        reserved = stage.pool.workers * stage.pool.cpus
        if stage.pool.cpus > 1 and rate * stage.cpu_seconds < _IDLE * reserved:
            warnings.append(
                f"pools.{stage.name}: {reserved:g} CPUs are reserved and {rate * stage.cpu_seconds:.1f} of them used; "
                f"lower pools.{stage.name}.cpus"
            )
        if unplaced([Demand(stage.name, stage.pool.amounts, stage.pool.labels, stage.pool.min_workers)], cluster):
            warnings.append(
                f"pools.{stage.name}: no node has room for its workers; they wait until one joins the cluster"
            )
    if cluster.total("GPU") and not any(stage.pool.gpus for stage in stages):
        warnings.append("no pool uses the cluster's GPUs; leave gpus of the pools open, or set them")
    return warnings
