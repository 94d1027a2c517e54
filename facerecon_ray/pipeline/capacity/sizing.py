"""How many workers each stage gets, and what each worker gets of the cluster.

What a job file leaves open is shared out in proportion to the stages' costs, so that all stages come out equally fast.
"""

from collections.abc import Sequence
from math import ceil, floor, inf, log2
from typing import Any

from facerecon_ray.cluster.nodes import Cluster
from facerecon_ray.cluster.placement import Demand, describe_amounts, room_for, unplaced
from facerecon_ray.config.settings import PoolSettings, WorkerRange
from facerecon_ray.errors import SettingsError
from facerecon_ray.pipeline.capacity.sized_stage import Part, Pool, SizedStage
from facerecon_ray.pipeline.capacity.stage_costs import StageCost, cost_table
from facerecon_ray.pipeline.stage_plan import PlannedStage

# Stages beside the slowest one get this much more than they need, so that it never waits for them.
_HEADROOM = 1.25
_SHRINK = 0.9
_SMALLEST_SHRINK = 0.05
_WORTH_IT = 1.05
_SMALLEST = 0.01
_MOST_ON_A_GPU = 4
_UNKNOWN_GPU_SECONDS = 0.01
_FASTEST, _HALVINGS = 1e6, 40
_UNLIMITED = 2**31
_SMALLEST_BATCH, _LARGEST_BATCH = 8, 128
# CPU time, of all processes together, that a batch takes on its way through the stages beside their work, and what
# that may be of the work. Less would take larger batches, and those are done again as a whole after a fault.
_BATCH_SECONDS = 0.1
_BATCH_SHARE = 0.03
# So much of one worker more than a whole number is not worth another process.
_NOT_WORTH_A_WORKER = 0.1


def size_stages(
    stages: Sequence[PlannedStage], cluster: Cluster, strict: bool = True, usable: float = 1.0
) -> list[SizedStage]:
    """Decide the pools of stages on a cluster.

    Settings are kept. GPUs that no setting names are shared out among the stages that can use one, then CPUs among
    all. Where workers would not fit the nodes, what was left open shrinks.

    Parameters
    ----------
    stages : in order
    cluster : their nodes
    strict : whether settings that do not fit the cluster are an error
    usable : share of the cluster that what was left open may take at most

    Raises
    ------
    SettingsError
        when what the settings ask for does not fit the cluster
    """
    table = cost_table(cluster.gpu_type)
    costs = [table.of(stage.cost) for stage in stages]
    pools = size_pools([stage.pool for stage in stages], costs, cluster, usable)
    sized = [
        SizedStage(stage.name, stage.steps, pool, cost, tuple(map(_part, stage.parts)), stage.of_faces)
        for stage, pool, cost in zip(stages, pools, costs, strict=True)
    ]
    if strict and (problem := shortage(sized, cluster)):
        raise SettingsError(problem)
    return sized


def _part(stage: PlannedStage) -> Part:
    return Part(stage.name, len(stage.steps), cost_table().of(stage.cost), stage.of_faces)


def size_pools(
    settings: Sequence[PoolSettings], costs: Sequence[StageCost], cluster: Cluster, usable: float = 1.0
) -> list[Pool]:
    """Pools for settings and costs; they exceed the cluster only where the settings alone do.

    On small nodes large workers leave room that nothing fits into. There the slowest stage gets more and smaller ones,
    as long as that makes the job faster; what one stage gets may be another's loss, so each is tried before that ends.
    """
    is_open = [setting.workers is None for setting in settings]
    pools, share = _fitting(settings, costs, cluster, usable)
    best, in_vain = pools, 0
    while _SMALLEST_SHRINK <= share < usable and in_vain < len(settings):
        slowest = min(range(len(pools)), key=lambda i: _rate(pools[i], costs[i]))
        if not is_open[slowest]:
            break
        settings = [*settings]
        settings[slowest] = settings[slowest].model_copy(update={"workers": pools[slowest].workers + 1})
        pools, share = _fitting(settings, costs, cluster, usable)
        is_faster = _job_rate(pools, costs, cluster) > _WORTH_IT * _job_rate(best, costs, cluster)
        if share >= _SMALLEST_SHRINK and is_faster:
            best, in_vain = pools, 0
        else:
            in_vain += 1
    return best


def _fitting(
    settings: Sequence[PoolSettings], costs: Sequence[StageCost], cluster: Cluster, usable: float
) -> tuple[list[Pool], float]:
    """Pools for the largest share of the cluster with which all of their workers find room, and that share."""
    while True:
        pools = _share_cpus(_share_gpus(settings, costs, cluster, usable), costs, cluster, usable)
        is_empty = not cluster.total("CPU")
        if is_empty or usable < _SMALLEST_SHRINK or not unplaced(_demands(pools), cluster):
            return pools, usable
        usable *= _SHRINK


def _rate(pool: Pool, cost: StageCost) -> float:
    """Photos a second that a pool can do; no limit where the cost is not known."""
    seconds = cost.seconds(pool.gpus)
    return pool.workers / seconds if seconds else inf


def _job_rate(pools: Sequence[Pool], costs: Sequence[StageCost], cluster: Cluster) -> float:
    """Photos a second of all stages together, which the slowest, and the cluster's CPUs and GPUs limit."""
    both = list(zip(pools, costs, strict=True))
    needed = {
        "CPU": sum(cost.cpu_seconds(pool.gpus) for pool, cost in both),
        "GPU": sum(cost.gpu_seconds(pool.gpus) for pool, cost in both),
    }
    limits = [cluster.total(name) / seconds for name, seconds in needed.items() if seconds]
    return min([*map(_rate, pools, costs), *limits])


def shortage(stages: Sequence[SizedStage], cluster: Cluster) -> str:
    """What the workers need that must start at once and the cluster lacks; "" when they fit.

    A range of workers says that the cluster may grow, so those workers may wait for nodes that do not run yet.
    """
    at_once = [stage for stage in stages if not stage.pool.is_range]
    for name in sorted({name for stage in at_once for name in stage.pool.amounts}):
        needed = sum(stage.pool.workers * stage.pool.amounts.get(name, 0.0) for stage in at_once)
        if needed > cluster.total(name) + 1e-6:
            return (
                f"setting 'pools': all workers together need {needed:g} {name}s, Ray has {cluster.total(name):g}; "
                "lower workers or what each of them gets, or set workers to {min: M, max: N} on a cluster that grows"
            )
    missing = unplaced(_demands([stage.pool for stage in at_once]), cluster)
    for number, workers in missing.items():
        stage = at_once[int(number)]
        return (
            f"setting 'pools.{stage.name}': no node has room for {workers} of {stage.pool.workers} workers with "
            f"{describe_amounts(stage.pool.amounts)} each; nodes are {cluster.describe()}"
        )
    return ""


def _share_gpus(
    settings: Sequence[PoolSettings], costs: Sequence[StageCost], cluster: Cluster, usable: float
) -> list[PoolSettings]:
    """Settings with all GPUs decided, and with the number of workers for those pools that have GPUs.

    All stages that can use a GPU come out equally fast: as fast as the GPUs allow. A worker leaves its GPU idle while
    its CPU thread works, so several share a GPU where that is most of the time.
    """
    free = cluster.total("GPU") * usable
    stages = list(zip(settings, costs, strict=True))
    free -= sum(setting.gpus * _most(setting, cluster) for setting in settings if setting.gpus and setting.workers)

    def wanted(rate: float) -> list[tuple[int, float]]:
        return [_gpu_workers(rate, setting, cost, cluster) for setting, cost in stages]

    low, high = 0.0, 1.0
    while high < _FASTEST and _sum_of_gpus(wanted(high)) <= free:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _sum_of_gpus(wanted(middle)) <= free else (low, middle)
    decided = []
    for (setting, _), (workers, gpus) in zip(stages, wanted(low), strict=True):
        changes: dict[str, Any] = {"gpus": setting.gpus or 0.0}
        if gpus >= _SMALLEST:
            changes = {"gpus": setting.gpus or _round_down(gpus), "workers": setting.workers or workers}
        decided.append(setting.model_copy(update=changes))
    return decided


def _gpu_workers(rate: float, setting: PoolSettings, cost: StageCost, cluster: Cluster) -> tuple[int, float]:
    """Workers, and GPUs of each, with which a stage does so many photos a second; none where nothing is to be decided.

    Workers that have more time than work get as much less of a GPU.
    """
    if (setting.gpus and setting.workers) or (not setting.gpus and (setting.gpus == 0.0 or cost.gpu is None)):
        return 0, 0.0
    busy = rate * (cost.seconds(1.0) or _UNKNOWN_GPU_SECONDS)
    workers = max(1, ceil(busy - 1e-6)) if setting.workers is None else _most(setting, cluster)
    return workers, setting.gpus or min(1.0, busy / workers) / _workers_on_a_gpu(cost)


def _sum_of_gpus(pools: Sequence[tuple[int, float]]) -> float:
    return sum(workers * gpus for workers, gpus in pools)


def _workers_on_a_gpu(cost: StageCost) -> int:
    return min(_MOST_ON_A_GPU, max(1, round((cost.gpu + cost.host) / cost.gpu))) if cost.gpu else 1


def _round_down(share: float) -> float:
    """To what is worth telling Ray; small errors of floating point do not count."""
    return floor(share / _SMALLEST + 1e-6) * _SMALLEST


def _share_cpus(
    settings: Sequence[PoolSettings], costs: Sequence[StageCost], cluster: Cluster, usable: float
) -> list[Pool]:
    """Pools for settings whose GPUs are decided."""
    seconds = [cost.cpu_seconds(setting.gpus or 0.0) for setting, cost in zip(settings, costs, strict=True)]
    taken = sum(s.cpus * _most(s, cluster) for s in settings if s.cpus and s.workers is not None)
    is_open = [s.cpus is None or s.workers is None for s in settings]
    free = max(0.0, cluster.total("CPU") * usable - taken)
    wanted = sum(cpu for cpu, is_one in zip(seconds, is_open, strict=True) if is_one)
    rates = [_fixed_rate(setting, cost, cluster) for setting, cost in zip(settings, costs, strict=True)]
    rate = min([free / wanted if wanted else inf, *rates])
    rate = 0.0 if rate == inf else rate
    headroom = min(_HEADROOM, free / (rate * wanted)) if rate * wanted else 1.0
    work = sum(seconds) + sum(
        cost.gpu_seconds(setting.gpus or 0.0) + cost.wait for setting, cost in zip(settings, costs, strict=True)
    )
    chosen_batch = _batch_size(rate, len(settings), work)
    pools = []
    for setting, cost, cpu in zip(settings, costs, seconds, strict=True):
        share = rate * cpu * headroom
        workers = setting.workers
        if workers is None:
            busy = max(share, rate * (cpu + cost.wait)) / max(1.0, setting.cpus or 0.0)
            workers = max(1, ceil(busy - _NOT_WORTH_A_WORKER))
            workers = max(1, min(workers, _room(setting, cluster)))
        most, least = (workers.max, workers.min) if isinstance(workers, WorkerRange) else (workers, workers)
        own = _cpu_use(cost, setting.gpus or 0.0) * usable if most > least else min(1.0, share / most)
        cpus = setting.cpus or max(_SMALLEST, _round_down(own))
        batch = setting.batch_size or chosen_batch
        pools.append(Pool(least, most, cpus, setting.gpus or 0.0, batch, setting.resources, setting.labels))
    return pools


def _cpu_use(cost: StageCost, gpus: float) -> float:
    """Share of a CPU that a worker uses which is never without work; 1 where the cost is not known."""
    seconds = cost.seconds(gpus)
    return cost.cpu_seconds(gpus) / seconds if seconds else 1.0


def _batch_size(rate: float, stages: int, work: float) -> int:
    """A power of two with which little is spent beside the work, and Ray's driver is not busy for half of its time.

    Parameters
    ----------
    rate : photos a second
    stages : number of them
    work : seconds that a photo takes in all stages, 0 where that is not known
    """
    worth_it = _BATCH_SECONDS / (_BATCH_SHARE * work) if work else 0.0
    handed_out = rate * stages / (cost_table().executor_tasks_per_second / 2)
    rows = max(1.0, worth_it, handed_out)
    return int(min(_LARGEST_BATCH, max(_SMALLEST_BATCH, 2 ** ceil(log2(rows)))))


def _fixed_rate(setting: PoolSettings, cost: StageCost, cluster: Cluster) -> float:
    """Photos a second that a pool can do whose number of workers is decided; no limit where it is not."""
    seconds = cost.seconds(setting.gpus or 0.0)
    return _most(setting, cluster) / seconds if setting.workers is not None and seconds else inf


def _room(setting: PoolSettings, cluster: Cluster) -> int:
    """How many workers GPUs, custom resources and labels allow."""
    if not setting.resources and not setting.labels and not setting.gpus:
        return _UNLIMITED
    demand = Demand("", {"CPU": 0.0, "GPU": setting.gpus or 0.0, **setting.resources}, setting.labels, _UNLIMITED)
    return room_for(demand, cluster)


def _demands(pools: Sequence[Pool]) -> list[Demand]:
    return [Demand(str(i), pool.amounts, pool.labels, pool.min_workers) for i, pool in enumerate(pools)]


def _most(setting: PoolSettings, cluster: Cluster) -> int:
    """Workers that a pool may have; those of a range as far as there is room, and 1 where the number is open."""
    if isinstance(setting.workers, WorkerRange):
        return max(setting.workers.min, min(setting.workers.max, _room(setting, cluster)))
    return setting.workers or 1
