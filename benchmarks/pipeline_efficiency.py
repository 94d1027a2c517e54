"""How much of the bottleneck's own throughput the whole pipeline reaches, from one rotation worker to many.

Stages sleep as long as real ones compute: crop 5 ms, rotate 100 ms, reconstruct 20 ms a photo. Everything between them
is the real thing: planning, Ray Data, the ledger, files, the manifest. The share is the rate of rotations between the
first and the last tenth of the photos, which leaves out the start of the workers, over what the sleeps allow.

The pipeline itself takes 20 to 30 ms of CPU for each photo, so two cores carry 8 rotators at most. --slower 4 makes
all sleeps four times as long, which shows how 16 rotators are kept busy, not how many cores that takes.

    python benchmarks/pipeline_efficiency.py --rotators 1 2 4 8 16
"""

import argparse
import logging
import tempfile
import time
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import toy_job  # noqa: F401
import toy_stages
from ray import cloudpickle
from rich.console import Console

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings, load_job
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.pipeline.preparation import prepare
from facerecon_ray.pipeline.reconstruct import run_reconstruct
from facerecon_ray.pipeline.session import ray_session
from facerecon_ray.pipeline.stage_plan import PlannedStage
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
            log.write(f"{time.time()} {len(batch['text'])}\n")
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
    job: ReconstructJob, files: FaceFiles, rotators: int, log: Path, slower: float
) -> list[PlannedStage]:
    """Stages with enough workers that the rotation is the bottleneck."""

    def pool(workers: int) -> PoolSettings:
        return PoolSettings(workers=workers, cpus=0.01, batch_size=8)

    beside = 1.25 * rotators / ROTATE
    return [
        PlannedStage("read", (partial(Reader, job.read, job.s3),), pool(1)),
        PlannedStage("crop", (partial(toy_stages.ToyCropper, CROP * slower),), pool(ceil(beside * CROP))),
        PlannedStage("rotate", (partial(SleepingRotator, log, ROTATE * slower),), pool(rotators)),
        PlannedStage(
            "reconstruct", (partial(SleepingReconstructor, RECONSTRUCT * slower),), pool(ceil(beside * RECONSTRUCT))
        ),
        PlannedStage("export", (toy_stages.ToyExporter, partial(FaceWriter, files)), pool(ceil(beside * 0.01))),
    ]


def steady_rate(log: Path) -> float:
    """Photos a second between the first and the last tenth."""
    times, counts = np.loadtxt(log).T
    order = np.argsort(times)
    done = np.cumsum(counts[order])
    first, last = np.searchsorted(done, [0.1 * done[-1], 0.9 * done[-1]])
    return float((done[last] - done[first]) / (times[order][last] - times[order][first]))


def main() -> None:
    """Run for each number of rotators and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rotators", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--photos", type=int, default=200, help="for each rotator")
    parser.add_argument("--slower", type=float, default=1.0, help="factor of all sleeps")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    for module in (toy_stages, __import__("__main__")):
        cloudpickle.register_pickle_by_value(module)
    print("rotators  photos/s  share of what the sleeps allow")
    for rotators in arguments.rotators:
        with tempfile.TemporaryDirectory() as name, ray_session():
            folder = Path(name)
            (folder / "photos").mkdir()
            for number in range(arguments.photos * rotators):
                (folder / "photos" / f"{number:06d}.jpg").write_text("faces=1")
            overrides = {"input": str(folder / "photos"), "output": str(folder / "out")}
            job = load_job(ReconstructJob, None, {**overrides, "report.gallery_faces": 0})
            plan = partial(sleeping_plan, rotators=rotators, log=folder / "log", slower=arguments.slower)
            run_reconstruct(prepare(job), Console(quiet=True), plan=plan)
            rate = steady_rate(folder / "log")
        print(f"{rotators:8d}  {rate:8.1f}  {rate * ROTATE * arguments.slower / rotators:.2f}", flush=True)


if __name__ == "__main__":
    main()
