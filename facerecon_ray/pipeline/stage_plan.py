"""Which stages a photo goes through, in which order, and what each stage gets of the machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from facerecon_ray.cluster.nodes import Cluster
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.stages.stage import Batch

Step = Callable[[Batch], Any]

CHAIN = "chain"
"""Name of all stages together where they share their workers."""


@dataclass(frozen=True)
class PlannedStage:
    """Steps that run one after the other in the same worker.

    name    shown to users
    steps   build the steps, each once for every worker; the worker is where models are loaded
    pool    number of workers and what each gets; sizing.size_stages decides what the settings leave open
    cost    its name in assets/stage_costs.yaml, several joined by "+", "" for a stage whose cost is not known
    parts   the stages that share its workers; none where it is one stage
    """

    name: str
    steps: tuple[Callable[[], Step], ...]
    pool: PoolSettings
    cost: str = ""
    parts: tuple["PlannedStage", ...] = ()


def plan_stages(job: ReconstructJob, files: FaceFiles) -> list[PlannedStage]:
    """The main job: photo -> crop -> rotate -> reconstruct -> export; where photos are pairs, the side photo is the
    rotated view."""
    steps = {
        "read": (partial(_reader, job),),
        "crop": (partial(_cropper, job),),
        "rotate": (partial(_rotator, job),),
        "reconstruct": (partial(_reconstructor, job),),
        "export": (partial(_exporter, job), partial(FaceWriter, files)),
    }
    return [replace(stage, steps=steps[stage.name]) for stage in outline(job)]


def outline(job: ReconstructJob) -> list[PlannedStage]:
    """The stages in order without their steps: as much as a plan needs of a job that does not run."""
    pools, method, of = job.pools, job.reconstruct.method, ".pairs" if job.pairs else ""
    rotate = f"rotate{of}" if job.pairs or job.makes_view else "rotate.fit"
    return [
        PlannedStage("read", (), pools.read, f"read{of}"),
        PlannedStage("crop", (), _pool(pools.crop, job.crop.device), f"crop.{job.crop.detector}{of}"),
        PlannedStage("rotate", (), _pool(pools.rotate, job.rotate.device), rotate),
        PlannedStage(
            "reconstruct",
            (),
            _pool(pools.reconstruct, job.reconstruct.device),
            f"reconstruct.{method}",
        ),
        PlannedStage("export", (), pools.export, f"export.{job.export.vertices if job.export.meshes else 'rows'}"),
    ]


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
    return [PlannedStage(CHAIN, steps, pool, "+".join(stage.cost for stage in stages), tuple(stages))]


def _pool(settings: PoolSettings, device: str) -> PoolSettings:
    """Workers that compute on CPUs get no share of the GPUs."""
    return settings.model_copy(update={"gpus": 0.0}) if device == "cpu" and settings.gpus is None else settings


# The stages are imported in the workers only: torch takes seconds and 200 MB that the driver has no use for.


def _reader(job: ReconstructJob) -> Step:
    from facerecon_ray.stages.read import Reader
    from facerecon_ray.stages.two_photos.read import TwoPhotoReader

    return (TwoPhotoReader if job.pairs else Reader)(job.read, job.s3)


def _cropper(job: ReconstructJob) -> Step:
    from facerecon_ray.geometry.crop_transform import CROP_SIZE
    from facerecon_ray.stages.crop import Cropper
    from facerecon_ray.stages.two_photos.crop import TwoPhotoCropper

    # What is finer than the crops is there for textures.
    settings = job.crop if job.export.meshes else job.crop.model_copy(update={"texture_side": CROP_SIZE})
    return (TwoPhotoCropper if job.pairs else Cropper)(settings, job.read, job.fitter, job.face_model)


def _rotator(job: ReconstructJob) -> Step:
    from facerecon_ray.stages.rotate import Rotator
    from facerecon_ray.stages.two_photos.fit import TwoPhotoFitter

    people = job.people.enabled
    if job.pairs:
        return TwoPhotoFitter(job.rotate, job.face_model, job.fitter, people=people)
    return Rotator(job.rotate, job.face_model, job.fitter, people=people, view=job.makes_view)


def _reconstructor(job: ReconstructJob) -> Step:
    from facerecon_ray.stages.reconstruct import Reconstructor

    return Reconstructor(job.reconstruct, job.face_model, job.rotate)


def _exporter(job: ReconstructJob) -> Step:
    from facerecon_ray.stages.export import Exporter

    return Exporter(job.export, job.face_model)
