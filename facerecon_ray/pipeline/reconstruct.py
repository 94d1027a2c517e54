"""The main job: photos in, face meshes out, streamed through the stages on Ray Data."""

from dataclasses import dataclass

from rich.console import Console

from facerecon_ray.errors import OutputError, StoreUnavailableError
from facerecon_ray.pipeline.manifest_writer import ManifestWriter
from facerecon_ray.pipeline.photo_source import Earlier, PhotoSource
from facerecon_ray.pipeline.preparation import PreparedJob
from facerecon_ray.pipeline.shard_packs import ShardPacks
from facerecon_ray.pipeline.stage_plan import plan_stages
from facerecon_ray.pipeline.waves import Plan, Waves
from facerecon_ray.report.gallery import write_gallery
from facerecon_ray.report.run_report import write_run_report
from facerecon_ray.storage.manifest import Manifest, Totals
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import clean
from facerecon_ray.storage.photos.photo_plan import PhotoPlan
from facerecon_ray.storage.run_lock import claimed
from facerecon_ray.storage.run_record import Run, RunRecord, load_record, save_record
from facerecon_ray.storage.starts import with_start


@dataclass(frozen=True)
class JobResult:
    """What a run did, what its output holds now, and the addresses of its pages: the faces, and how the run went."""

    run: Run
    totals: Totals
    gallery: str
    report: str


def run_reconstruct(
    prepared: PreparedJob, console: Console, address: str | None = None, plan: Plan = plan_stages
) -> JobResult:
    """Run the job: every photo that the output does not have yet goes through all stages.

    Whatever ends the run early, the same job continues where it stopped; docs/guarantees.md says what is done again.

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
    with claimed(output.store) as check:
        if load_record(output.store) != prepared.earlier:
            raise OutputError(f"output {output.uri}: another run has written to it meanwhile; start again")
        if not prepared.continues:
            output.clear()
        run = Run()
        record = prepared.record.model_copy(update={"runs": with_start(prepared.record.runs, run)})
        save_record(output, record)
        manifest = Manifest(output)
        packs = ShardPacks(output, job.s3, check) if job.export.pack == "shard" else None
        if packs:
            clean(output, manifest)
        writer = ManifestWriter(manifest, packs)
        source = PhotoSource(
            prepared.listing,
            PhotoPlan(output.store, job.shard_photos),
            manifest,
            Earlier(frozenset(manifest.shards()), frozenset(record.open_shards)),
            job.limit,
            prepared.retry_failed,
        )
        is_reachable = True
        try:
            with run.noted(), source.listing():
                Waves(prepared, source, writer, run, console, check).run_all(plan, address)
            record.open_shards = sorted(set(record.open_shards) - source.closed)
        except StoreUnavailableError:
            is_reachable = False
            raise
        finally:
            # A store that does not answer would be asked in vain: the next run finds this one killed.
            if is_reachable:
                check()
                _keep_open_shards(writer, record, output)
                if packs:
                    output.clear_pieces()
                totals = _count(record, manifest)
                run.outcome = "failed" if totals.fruitless else run.outcome
                save_record(output, record)
        return JobResult(run, totals, write_gallery(output, job.report.gallery_faces), write_run_report(output))


def _keep_open_shards(writer: ManifestWriter, record: RunRecord, output: OutputFolder) -> None:
    """Write what is there of unfinished shards; the record names them first, so that no run takes them for whole."""
    if begun := writer.begun():
        record.open_shards = sorted({*record.open_shards, *begun})
        save_record(output, record)
        writer.flush()


def _count(record: RunRecord, manifest: Manifest) -> Totals:
    totals = manifest.totals()
    record.photos, record.rows, record.stage_seconds = totals.photos, totals.rows, totals.stage_seconds
    return totals
