"""Speed, memory and output of the main job, beside another checkout's in the same call.

    python benchmarks/main_job.py --photos 300                            copies of the bundled photos, 640 pixels
    python benchmarks/main_job.py --folder PHOTOS --copies 2              a folder's photos, each so many times
    python benchmarks/main_job.py --folder PHOTOS --also ../before        a checkout with an environment of its own
    python benchmarks/main_job.py --photos 300 --set export.meshes=false

For each checkout, medians over --times runs in turn: CPU seconds of all processes for each face, faces a second from
the command to its end and once the first is done, the largest process and all together, the share of the cores that
was busy, and bytes of output for each face; and milliseconds of the stages for each face, waiting for a core
included.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from watched_job import HERE, Watched, run_reconstruct

SIDE = 640
BUNDLED = HERE / "facerecon_ray" / "assets" / "photos"


@dataclass(frozen=True)
class Run:
    """One run of the job.

    took    from outside
    record  its run.json
    bytes   of all that it wrote
    """

    took: Watched
    record: dict[str, Any]
    bytes: int

    @property
    def faces(self) -> int:
        return int(self.record["runs"][-1]["faces"])

    @property
    def cpu(self) -> float:
        return sum(self.took.cpu.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=300, help="copies of the bundled photos")
    parser.add_argument("--folder", type=Path, help="photos in their place")
    parser.add_argument("--copies", type=int, default=1, help="of each photo of the folder")
    parser.add_argument("--also", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--set", action="append", default=[], help="a setting of the job, as for `reconstruct`")
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    runs: dict[Path, list[Run]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        photos = Path(name) / "photos"
        photos.mkdir()
        if arguments.folder:
            copy_photos(arguments.folder, photos, arguments.copies)
        else:
            make_photos(photos, arguments.photos)
        for number in range(arguments.times):
            for place, checkout in enumerate((*arguments.also, HERE)):
                output = Path(name) / f"{number}-{place}"
                took = run_reconstruct(checkout, photos, output, arguments.set)
                size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
                runs[checkout].append(Run(took, json.loads((output / "run.json").read_text()), size))
                shutil.rmtree(output)
    for checkout, results in runs.items():
        print_runs(checkout, results)


def make_photos(folder: Path, count: int) -> None:
    """Write copies of the bundled photos whose longer side has 640 pixels."""
    originals = [np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_BGR)) for path in sorted(BUNDLED.glob("*.jpg"))]
    for i in range(count):
        photo = originals[i % len(originals)]
        factor = SIDE / max(photo.shape[:2])
        cv2.imwrite(str(folder / f"{i:05d}.jpg"), cv2.resize(photo, None, fx=factor, fy=factor))


def copy_photos(source: Path, folder: Path, copies: int) -> None:
    """Copy the files of a folder so many times under other names."""
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        for number in range(copies):
            shutil.copyfile(path, folder / f"{number:02d}-{path.name}")


def print_runs(checkout: Path, runs: list[Run]) -> None:
    """Medians of a checkout's runs."""

    def middle(of: Callable[[Run], float]) -> float:
        return float(median(of(run) for run in runs))

    last = runs[-1]
    if not last.faces:
        raise SystemExit(f"{checkout}: the job gave no face")
    print(f"{checkout}: {last.record['runs'][-1]['photos']} photos, {last.faces} faces, {len(runs)} runs")
    print(f"  {middle(lambda run: 1000 * run.cpu / run.faces):8.0f} ms of CPU for each face, all processes")
    print(f"  {middle(lambda run: run.faces / run.took.wall):8.2f} faces a second from the command to its end")
    once = middle(lambda run: run.record["runs"][-1]["faces_per_second"])
    print(f"  {once:8.2f} faces a second once the first is done")
    cores = len(os.sched_getaffinity(0))
    print(
        f"  {middle(lambda run: 100 * run.cpu / run.took.wall / cores):8.0f} % of {cores} cores busy, start included"
    )
    print(f"  {middle(lambda run: max(run.took.resident.values())):8.0f} MB largest process")
    print(f"  {middle(lambda run: run.took.together):8.0f} MB all processes together")
    print(f"  {middle(lambda run: run.bytes / run.faces / 1000):8.0f} kB written for each face")
    for stage, total in last.record["stage_seconds"].items():
        print(f"  {1000 * total / last.faces:8.1f} ms  {stage}")
    for kind in sorted(last.took.resident, key=lambda kind: -last.took.resident[kind])[:6]:
        print(f"  {last.took.resident[kind]:8d} MB  {kind}")


if __name__ == "__main__":
    main()
