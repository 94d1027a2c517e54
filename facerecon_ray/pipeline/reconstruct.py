"""The main job: photos in, face meshes out, streamed through the stages on Ray Data."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import pyarrow as pa
import ray
import ray.data
from rich.console import Console

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings
from facerecon_ray.errors import OutputError, SettingsError
from facerecon_ray.pipeline.face_files import FaceFiles
from facerecon_ray.pipeline.manifest_writer import ManifestWriter
from facerecon_ray.pipeline.preparation import PreparedJob
from facerecon_ray.pipeline.progress import show_progress
from facerecon_ray.pipeline.session import ray_session
from facerecon_ray.pipeline.stage_plan import PlannedStage, plan_stages
from facerecon_ray.pipeline.workers import WorkerError, worker_class
from facerecon_ray.storage.manifest import Manifest, Totals
from facerecon_ray.storage.run_record import Run, RunRecord, load_record, save_record

_QUEUED_BLOCKS = 4

Plan = Callable[[ReconstructJob, FaceFiles], list[PlannedStage]]


@dataclass(frozen=True)
class JobResult:
    """What a run did, what its output folder holds now, and the page that shows it."""

    run: Run
    totals: Totals
    gallery: Path


def run_reconstruct(
    prepared: PreparedJob, console: Console, address: str | None = None, plan: Plan = plan_stages
) -> JobResult:
    """Run the job: every photo that the output folder does not have yet goes through all stages.

    Whatever ends the run early, the rows of complete photos are in the manifest, and the same job continues there.

    Parameters
    ----------
    prepared : from `prepare`
    console : shows the progress
    address : of a running Ray cluster; without one RAY_ADDRESS, and without that a cluster of its own
    plan : the stages

    Raises
    ------
    FaceReconError
        when the output cannot be written, an asset is of the wrong kind, or the cluster is too small
    """
    job, output = prepared.job, prepared.output
    with output.claimed():
        if load_record(output.path) != prepared.earlier:
            raise OutputError(f"output {output.path}: another run has written to it meanwhile; start again")
        if not prepared.continues:
            output.clear()
        done = prepared.done()
        todo = [photo for photo in prepared.photos if photo not in done]
        run = Run(started=_now())
        record = prepared.record.model_copy(update={"runs": [*map(_ended, prepared.record.runs), run]})
        save_record(output, record)
        manifest = Manifest(output)
        writer = ManifestWriter(manifest, done)
        start = time.monotonic()
        try:
            if todo:
                _stream(todo, plan(job, prepared.files), writer, run, console, address)
            run.outcome = "finished"
        except BaseException as error:
            run.outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            writer.flush()
            run.seconds = round(time.monotonic() - start, 3)
            totals = _close(run, record, manifest)
            save_record(output, record)
        from facerecon_ray.report.gallery import write_gallery

        return JobResult(run, totals, write_gallery(output.path, job.report.gallery_faces))


def build_dataset(photos: list[str], stages: list[PlannedStage]) -> "ray.data.Dataset":
    """Photos through the stages, each stage in its own pool of actors.

    Ray hands out new work about ten times a second and a block at a time, so a block must last longer than that: but
    few photos are cut into small blocks, that every worker gets some.
    """
    rows = min(rows_per_call(len(photos), stage.pool) for stage in stages[:2])
    blocks = [pa.table({"photo_uri": photos[start : start + rows]}) for start in range(0, len(photos), rows)]
    dataset = ray.data.from_arrow(blocks)
    for position, stage in enumerate(stages):
        pool = stage.pool
        dataset = dataset.map_batches(
            worker_class(stage),
            fn_constructor_args=(stage,),
            batch_format="numpy",
            batch_size=None if position < 2 else rows_per_call(len(photos), pool),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
            compute=ray.data.ActorPoolStrategy(
                size=min(pool.workers, len(blocks)), max_tasks_in_flight_per_actor=_QUEUED_BLOCKS
            ),
        )
    return dataset


def rows_per_call(photos: int, pool: PoolSettings) -> int:
    """Rows that a worker gets at a time: the pool's batch size, or fewer when there is little to share out."""
    return min(pool.batch_size, max(1, ceil(photos / (4 * pool.workers))))


def _stream(
    photos: list[str],
    stages: list[PlannedStage],
    writer: ManifestWriter,
    run: Run,
    console: Console,
    address: str | None,
) -> None:
    with ray_session(address):
        _check_resources(stages)
        with show_progress(len(photos), console) as progress:
            for rows in _batches(build_dataset(photos, stages)):
                arrived = writer.add(rows)
                progress.add(arrived.photos, arrived.faces, arrived.failed)
                run.photos, run.faces = progress.photos, progress.faces
                if rates := progress.rates():
                    run.faces_per_second = round(rates[1], 2)


def _batches(dataset: "ray.data.Dataset") -> Iterator[pa.Table]:
    """Rows as they arrive; an error that a worker raised for the user is raised here as it was raised there."""
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WorkerError):
            raise error.cause.args[0] from None
        raise


def _check_resources(stages: list[PlannedStage]) -> None:
    available = ray.cluster_resources()
    for name, needed in (
        ("CPU", sum(stage.pool.workers * stage.pool.cpus for stage in stages)),
        ("GPU", sum(stage.pool.workers * stage.pool.gpus for stage in stages)),
    ):
        if needed > available.get(name, 0.0) + 1e-6:
            raise SettingsError(
                f"setting 'pools': all workers together need {needed:g} {name}s, Ray has "
                f"{available.get(name, 0.0):g}; lower workers or {name.lower()}s of the pools"
            )


def _close(run: Run, record: RunRecord, manifest: Manifest) -> Totals:
    totals = manifest.totals()
    run.finished = _now()
    record.photos, record.rows, record.stage_seconds = totals.photos, totals.rows, totals.stage_seconds
    return totals


def _ended(run: Run) -> Run:
    """An earlier run that never said how it ended was killed."""
    return run.model_copy(update={"outcome": "killed"}) if run.outcome == "running" else run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
