"""What each stage of the chain gets of the machine, and what its workers build."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from facerecon_ray.cluster.nodes import Cluster
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.stages.chain import ChainStage, Step, build_stage, needed

ALL_STAGES = "chain"
"""Name of all stages together where they share their workers."""


@dataclass(frozen=True)
class PlannedStage:
    """Steps that run one after the other in the same worker.

    name      shown to users
    steps     build the steps, each once for every worker; the worker is where models are loaded
    pool      number of workers and what each gets; sizing.size_stages decides what the settings leave open
    cost      its name in assets/stage_costs.yaml, several joined by "+", "" for a stage whose cost is not known
    parts     the stages that share its workers; none where it is one stage
    of_faces  whether its rows are faces; those of others are photos
    """

    name: str
    steps: tuple[Callable[[], Step], ...]
    pool: PoolSettings
    cost: str = ""
    parts: tuple["PlannedStage", ...] = ()
    of_faces: bool = False


def plan_stages(job: ReconstructJob, files: FaceFiles) -> list[PlannedStage]:
    """The main job; the last stage's workers also write the files and the rows."""
    *stages, last = outline(job)
    return [*stages, replace(last, steps=(*last.steps, partial(FaceWriter, files)))]


def outline(job: ReconstructJob) -> list[PlannedStage]:
    """The stages that run, in order, without the writing: as much as a plan needs of a job that does not run."""
    return [_planned(stage, job) for stage in needed(job)]


def fused(stages: Sequence[PlannedStage], cluster: Cluster) -> list[PlannedStage]:
    """Stages as they run on a cluster: on one machine with fewer CPUs than stages, and no GPUs, in shared processes.

    There a process for each stage loads its libraries in turn with the others, waits for a core more often than it
    works, and hands its pictures on through the object store. Where a job says anything of pools, they are kept.
    """
    is_small = sum(node.count for node in cluster.nodes) == 1 and 0 < cluster.total("CPU") < len(stages)
    is_open = all(stage.pool.model_copy(update={"gpus": None}) == PoolSettings() for stage in stages)
    if not is_small or not is_open or cluster.total("GPU"):
        return list(stages)
    steps = tuple(step for stage in stages for step in stage.steps)
    pool = PoolSettings(workers=max(1, int(cluster.total("CPU"))))
    return [PlannedStage(ALL_STAGES, steps, pool, "+".join(stage.cost for stage in stages), tuple(stages))]


def _planned(stage: ChainStage, job: ReconstructJob) -> PlannedStage:
    pool: PoolSettings = getattr(job.pools, stage.name)
    if stage.device(job) == "cpu" and pool.gpus is None:
        # Workers that compute on CPUs get no share of the GPUs.
        pool = pool.model_copy(update={"gpus": 0.0})
    steps = (partial(build_stage, stage.name, job),)
    return PlannedStage(stage.name, steps, pool, stage.cost(job), of_faces=stage.row == "face")
