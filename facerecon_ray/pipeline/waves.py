"""Photos come in waves: a pipeline of Ray Data wants to know all of its input, and the listing may take hours."""

from collections.abc import Callable

from rich.console import Console

from facerecon_ray.cluster.worker_errors import StalledError
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.errors import FaceReconError
from facerecon_ray.jobs.session import ray_session
from facerecon_ray.pipeline.capacity.actor_pools import pools_record
from facerecon_ray.pipeline.capacity.pools import Pools
from facerecon_ray.pipeline.face_files import FaceFiles
from facerecon_ray.pipeline.manifest_writer import Arrived, ManifestWriter
from facerecon_ray.pipeline.metrics import watch_queues
from facerecon_ray.pipeline.photo_source import PhotoSource
from facerecon_ray.pipeline.preparation import PreparedJob, describe_photos
from facerecon_ray.pipeline.progress import JobProgress, show_progress
from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.pipeline.stage_plan import PlannedStage
from facerecon_ray.pipeline.streaming import stream
from facerecon_ray.storage.run_lock import Check
from facerecon_ray.storage.run_record import Run
from facerecon_ray.waiting import say

_ROUNDS = 3

Plan = Callable[[ReconstructJob, FaceFiles], list[PlannedStage]]


class Waves:
    """Runs one pipeline after the other, each over what has been listed until then: the first within seconds.

    Parameters
    ----------
    run : what came of it is noted there as it arrives
    check : raises when the output is not this run's any more
    """

    def __init__(
        self,
        prepared: PreparedJob,
        source: PhotoSource,
        writer: ManifestWriter,
        run: Run,
        console: Console,
        check: Check,
    ) -> None:
        self._prepared, self._source, self._writer = prepared, source, writer
        self._run, self._console, self._check = run, console, check
        self._is_described = False

    def run_all(self, plan: Plan, address: str | None) -> None:
        """Do everything that is to be done; Ray is started only when there is something."""
        wave = self._next()
        if not wave:
            return
        job = self._prepared.job
        with ray_session(address):
            self._pools = Pools(plan(job, self._prepared.files))
            self._run.pools = pools_record(self._pools.stages)
            watch_queues()
            with show_progress(None, self._console, job.report.progress_seconds) as progress:
                while wave:
                    self._complete(wave, progress)
                    wave = self._next()

    def _next(self) -> list[ShardWork]:
        wave = self._source.next_wave()
        if self._source.listed and not self._is_described:
            self._is_described = True
            describe_photos(self._console, self._prepared, self._source.planned, self._source.done)
        return wave

    def _complete(self, wave: list[ShardWork], progress: JobProgress) -> None:
        """Do a wave, and again what has got lost of it on the way, with other pools where the cluster has changed."""

        def count(arrived: Arrived) -> None:
            progress.total = self._source.todo if self._source.counted else None
            progress.add(arrived.photos, arrived.faces, arrived.failed)
            run = self._run
            run.photos, run.faces, run.timeline = progress.photos, progress.faces, progress.timeline.samples
            if rates := progress.rates():
                run.faces_per_second = round(rates[1], 2)

        rounds = 0
        while rounds < _ROUNDS:
            for work in wave:
                self._writer.expect(work)
            try:
                self._stream(wave, count)
                rounds += 1
            except StalledError as stalled:
                self._pools.size_anew()
                self._run.pools = pools_record(self._pools.stages)
                say(f"{stalled}: the pools were sized anew for {self._pools.cluster.describe()}")
            wave = self._writer.unfinished()
            if not wave:
                return
            self._writer.forget([work.shard.number for work in wave])
        raise FaceReconError("some photos came back from no worker; the same command continues the run")

    def _stream(self, wave: list[ShardWork], count: Callable[[Arrived], None]) -> None:
        seconds = self._prepared.job.faults.batch_seconds
        stream(wave, self._pools, self._writer, count, self._check, seconds)
