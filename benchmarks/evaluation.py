"""Cost of the evaluation, and what a night of 50 scans x 27 poses x 3 models takes on two cores.

Measures CPU seconds of one process with one thread on a few poses of one embedded subject, with three models, of which
one is a two-view network with random weights: its errors mean nothing, its cost is a trained one's. A mesh that is no
face is not compared by recognition, so that cost is measured by itself and added.

    python benchmarks/evaluation.py --poses 6
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.evaluation.embedded_subjects import embedded_scan
from facerecon_ray.evaluation.models import parse_models
from facerecon_ray.evaluation.scan_evaluation import ScanEvaluator
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.face_descriptor import FaceDescriber
from facerecon_ray.networks.two_view import TwoViewNetwork

SCANS, POSES, MODELS, CORES = 50, 27, 3, 2
SIDES = [(yaw, pitch) for pitch in (0.0, 15.0, -15.0) for yaw in (0.0, 20.0, -40.0, 60.0, -20.0, 40.0)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=6, choices=range(1, len(SIDES) + 1))
    poses = parser.parse_args().poses
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "random.safetensors")
        safetensors.torch.save_file(TwoViewNetwork().state_dict(), weights)
        models = parse_models(("fitted", "mean-face", f"two-view={weights}"))
        evaluator = ScanEvaluator(models, ProtocolSettings(), "cpu")
    scan = embedded_scan(3)
    evaluator.rows(evaluator.prepare("embedded", "warm-up", scan), SIDES[:1])
    start = time.process_time()
    prepared = evaluator.prepare("embedded", "subject 3", scan)
    middle = time.process_time()
    rows = evaluator.rows(prepared, SIDES[:poses])
    prepare, picture = middle - start, (time.process_time() - middle) / poses
    describe = descriptor_seconds()
    skipped = sum("recognition" not in row for row in rows) / poses
    night = SCANS * (prepare + POSES * (picture + skipped * describe)) / 3600
    print(f"{prepare:6.2f} s  turn a scan to the front")
    print(f"{picture:6.2f} s  one picture: draw, find, crop, rotate, and {MODELS} meshes: reconstruct, align, score")
    print(f"{describe:6.2f} s  a descriptor; {skipped:.1f} a picture were left out and are added below")
    print(f"{night:6.2f} h  CPU time of {SCANS} scans x {POSES} poses x {MODELS} models")
    print(f"{night / CORES:6.2f} h  on {CORES} cores")


def descriptor_seconds() -> float:
    """CPU seconds of one face descriptor."""
    describe, places = FaceDescriber(FaceModel.default()), np.random.default_rng(0).uniform(64.0, 192.0, (68, 2))
    start = time.process_time()
    for _ in range(5):
        describe.describe(np.zeros((256, 256, 3), np.uint8), places)
    return (time.process_time() - start) / 5


if __name__ == "__main__":
    main()
