"""How much of the bottleneck's own throughput the whole pipeline reaches, from one rotation worker to many.

Stages sleep as long as real ones compute: crop 5 ms, rotate 100 ms, reconstruct 20 ms a photo. Everything between them
is the real thing: planning, Ray Data, the ledger, files, the manifest, and batches as large as the pipeline chooses
them. The share is the rate of rotations over what the sleeps allow, from when a tenth is rotated and all rotators have
begun to nine tenths, which leaves out the start of the workers.

The CPU time is that of the driver, of the workers of each stage and of Ray's own processes in that part, for each
photo; N cores can do no more than 1000 N / (CPU ms per photo). --slower 4 makes all sleeps four times as long, which
shows how 16 rotators are kept busy, not how many cores that takes.

    python benchmarks/pipeline_efficiency.py --rotators 1 2 4 8 16
"""

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import toy_job  # noqa: F401
import toy_stages
from cpu_by_process import cpu_seconds_between, sampled_cpu_seconds
from ray import cloudpickle
from rich.console import Console

from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings, load_job
from facerecon_ray.jobs.session import ray_session
from facerecon_ray.pipeline.capacity.sizing import size_pools
from facerecon_ray.pipeline.capacity.stage_costs import StageCost
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.preparation import prepare
from facerecon_ray.pipeline.reconstruct import run_reconstruct
from facerecon_ray.pipeline.stage_plan import PlannedStage
from facerecon_ray.stages.chain import Step
from facerecon_ray.stages.read import Reader
from facerecon_ray.stages.stage import Batch

CROP, ROTATE, RECONSTRUCT = 0.005, 0.1, 0.02


class SleepingRotator(toy_stages.ToyRotator):
    """Sleeps for each photo, and notes when it was done with how many."""

    def __init__(self, log: Path, seconds: float) -> None:
        self._log, self._seconds = log, seconds

    def process(self, batch: Batch) -> Batch:
        """As the toy stage, later."""
        time.sleep(self._seconds * len(batch["text"]))
        with self._log.open("a") as log:
            log.write(f"{time.time()} {len(batch['text'])} {os.getpid()}\n")
        return super().process(batch)


class SleepingReconstructor(toy_stages.ToyReconstructor):
    """Sleeps for each photo."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def process(self, batch: Batch) -> Batch:
        """As the toy stage, later."""
        time.sleep(self._seconds * len(batch["text"]))
        return super().process(batch)


def sleeping_plan(
    job: ReconstructJob, files: FaceFiles, rotators: int, log: Path, slower: float, batch_size: int | None
) -> list[PlannedStage]:
    """Stages with enough workers that the rotation is the bottleneck; batches as the pipeline chooses them."""
    seconds = {"read": 0.0, "crop": CROP, "rotate": ROTATE, "reconstruct": RECONSTRUCT, "export": 0.0}
    beside = 1.25 * rotators / ROTATE
    settings = [
        PoolSettings(workers=workers, cpus=0.01, batch_size=batch_size)
        for workers in (1, ceil(beside * CROP), rotators, ceil(beside * RECONSTRUCT), ceil(beside * 0.01))
    ]
    costs = [StageCost(wait=slower * wait) for wait in seconds.values()]
    sized = size_pools(settings, costs, live_cluster())
    steps: dict[str, tuple[Callable[[], Step], ...]] = {
        "read": (partial(Reader, job.read, job.s3),),
        "crop": (partial(toy_stages.ToyCropper, CROP * slower),),
        "rotate": (partial(SleepingRotator, log, ROTATE * slower),),
        "reconstruct": (partial(SleepingReconstructor, RECONSTRUCT * slower),),
        "export": (toy_stages.ToyExporter, partial(FaceWriter, files)),
    }
    return [
        PlannedStage(name, steps[name], setting.model_copy(update={"batch_size": pool.batch_size}))
        for name, setting, pool in zip(seconds, settings, sized, strict=True)
    ]


def steady_part(log: Path) -> tuple[float, float, float]:
    """From when a tenth is rotated and all rotators have begun, to nine tenths: start, end, photos between."""
    times, counts, workers = np.loadtxt(log).T
    order = np.argsort(times)
    times, workers, done = times[order], workers[order], np.cumsum(counts[order])
    first, last = np.searchsorted(done, [0.1 * done[-1], 0.9 * done[-1]])
    all_begun = np.unique(workers, return_index=True)[1].max()
    first = max(first, all_begun)
    return float(times[first]), float(times[last]), float(done[last] - done[first])


def main() -> None:
    """Run for each number of rotators and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rotators", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--photos", type=int, default=200, help="for each rotator")
    parser.add_argument("--slower", type=float, default=1.0, help="factor of all sleeps")
    parser.add_argument("--batch-size", type=int, help="rows in a call, instead of what the pipeline chooses")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for module in (toy_stages, __import__("__main__")):
        cloudpickle.register_pickle_by_value(module)
    print("rotators  photos/s  share  CPU ms per photo")
    for rotators in arguments.rotators:
        with tempfile.TemporaryDirectory() as name, ray_session(), sampled_cpu_seconds() as samples:
            folder = Path(name)
            (folder / "photos").mkdir()
            for number in range(arguments.photos * rotators):
                (folder / "photos" / f"{number:06d}.jpg").write_text("faces=1")
            overrides = {"input": str(folder / "photos"), "output": str(folder / "out")}
            job = load_job(ReconstructJob, None, {**overrides, "report.gallery_faces": 0})
            plan = partial(
                sleeping_plan,
                rotators=rotators,
                log=folder / "log",
                slower=arguments.slower,
                batch_size=arguments.batch_size,
            )
            run_reconstruct(prepare(job), Console(quiet=True), plan=plan)
            start, end, photos = steady_part(folder / "log")
        rate = photos / (end - start)
        milliseconds = {kind: 1000 * s / photos for kind, s in cpu_seconds_between(samples, start, end).items()}
        parts = "  ".join(f"{kind} {milliseconds[kind]:.2f}" for kind in sorted(milliseconds))
        share = rate * ROTATE * arguments.slower / rotators
        print(f"{rotators:8d}  {rate:8.1f}  {share:5.2f}  {sum(milliseconds.values()):15.1f}  {parts}", flush=True)


if __name__ == "__main__":
    main()
