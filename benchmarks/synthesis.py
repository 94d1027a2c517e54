"""Cost and correctness of synthetic training data.

In this process: processor milliseconds a view by step, and the position maps' error against the true mesh by yaw. With
--job, the whole command: views a second and the largest memory of any process, on runs of two lengths, so that growth
shows. What dlib's HOG detector finds is measured by hog_share.py.

    python benchmarks/synthesis.py --subjects 20
    python benchmarks/synthesis.py --subjects 0 --job 40
"""

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from watched_job import watch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.crop_transform import apply_transform
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
from facerecon_ray.pipeline.synthesis.pair_source import open_source
from facerecon_ray.stages.stage import Batch
from facerecon_ray.storage.pairs.pair_schema import pair_rows

BINS = (-90.0, -67.5, -45.0, -22.5, 0.0, 22.5, 45.0, 67.5, 90.0)


def map_errors(batch: Batch, layout: UvLayout) -> tuple[np.ndarray, np.ndarray]:
    """(V,) mean and largest distance of the mesh that is read off the maps to the true one, as shares of the face's
    size: the square root of the area of its bounding box in the picture, which is smallest in profile.
    """
    read = layout.vertices_from_map(torch.from_numpy(batch["position_map"])).numpy()
    points = batch["points"][:, layout.vertices.numpy()]
    transform = batch["crop_transform"].astype(np.float64)
    flat = apply_transform(transform, points[..., :2])
    depth = points[..., 2:] * transform[:, :1, :1]
    true = np.concatenate([flat, depth], -1)
    # Depths of photos and of maps may start elsewhere.
    true[..., 2] += (read[..., 2] - true[..., 2]).mean(1, keepdims=True)
    size = np.sqrt(np.ptp(flat, axis=1).prod(-1))
    distance = np.linalg.norm(read - true, axis=-1) / size[:, None]
    return distance.mean(1), distance.max(1)


def measure(subjects: int, job: SynthesisJob) -> None:
    """Measure in this process and print."""
    source = open_source(job)
    maker, layout = PairMaker(job, source), UvLayout.of(source.model)
    maker.rows(0)
    maker.seconds.clear()
    yaws, means, worst = [], [], []
    seconds, packing = 0.0, 0.0
    for number in range(subjects):
        start = time.process_time()
        batch = maker.batch(number)
        made = time.process_time()
        pair_rows(batch, job.shards.images)
        packing += time.process_time() - made
        seconds += time.process_time() - start
        mean, largest = map_errors(batch, layout)
        yaws += batch["pose"][:, 0].tolist()
        means += mean.tolist()
        worst += largest.tolist()
    views = len(yaws)
    print(f"{views} views, {1000 * seconds / views:.0f} ms of one processor core a view, that is")
    for step, total in {**maker.seconds, "packing": packing}.items():
        print(f"{1000 * total / views:7.1f} ms  {step}")
    print("position map against the true mesh, % of the face's size")
    for low, high in itertools.pairwise(BINS):
        rows = [i for i, yaw in enumerate(yaws) if low <= yaw <= high]
        if rows:
            mean, largest = np.mean([means[i] for i in rows]), np.max([worst[i] for i in rows])
            print(f"  yaw {low:6.1f} to {high:5.1f}: mean {100 * mean:.3f}, largest of any vertex {100 * largest:.3f}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, the largest memory of this process")


def run_job(subjects: int, workers: int) -> None:
    """Run the command and print its speed and memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from facerecon_ray.cli import main; main()", "synthesize"]
        options = ["--subjects", f"{subjects}", "--output", folder, "--workers", f"{workers}"]
        job = subprocess.Popen(
            [*command, *options, "--set", "shards.subjects=8"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        memory = watch(job).resident
        if job.returncode:
            raise SystemExit("the job failed")
        card = json.loads((Path(folder) / "dataset.json").read_text())
    run, processor = card["runs"][-1], sum(card["seconds"].values())
    views = run["views"]
    print(f"{subjects} subjects, {workers} workers: {views} views in {run['seconds']:.0f} s with start-up,")
    print(f"  {1000 * processor / views:.0f} ms of a core a view, {card['bytes'] / views / 1000:.0f} KB a view")
    for kind in sorted(memory, key=lambda kind: -memory[kind])[:3]:
        print(f"{memory[kind]:6d} MB  {kind}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, default=20, help="subjects that are made in this process")
    parser.add_argument("--job", type=int, default=0, help="subjects of the larger of two whole runs")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--photos", help="folder of photos for skin textures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if arguments.subjects:
        measure(arguments.subjects, SynthesisJob(output="unused", photos=arguments.photos))
    for subjects in (arguments.job // 2, arguments.job) if arguments.job else ():
        run_job(subjects, arguments.workers)


if __name__ == "__main__":
    main()
