"""What each stage costs: milliseconds of one CPU thread, or of a GPU, for one photo of 640 pixels with one face.

Prints the figures of facerecon_ray/assets/stage_costs.yaml. CPU time of the process is counted, so that other work on
the machine does not show; on a GPU the wall time until it is done is counted, and CPU time beside it.

    python benchmarks/stage_costs.py --photos 32
    python benchmarks/stage_costs.py --photos 256 --device cuda
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from main_job import make_photos
from safetensors.torch import save_file

from facerecon_ray.config.reconstruct import (
    CropSettings,
    ExportSettings,
    FitSettings,
    ReadSettings,
    ReconstructSettings,
    RotateSettings,
)
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.networks.prnet import PRNet
from facerecon_ray.networks.two_view import TwoViewNetwork
from facerecon_ray.pipeline.face_files import FaceFiles, FaceWriter
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.export import Exporter
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.stages.read import Reader
from facerecon_ray.stages.reconstruct import Reconstructor
from facerecon_ray.stages.rotate import Rotator
from facerecon_ray.stages.stage import OK, Batch

BATCH = 8


class Clock:
    """Sums what steps cost, warm-up left out."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    def run(self, name: str, step: Callable[[Batch], Batch], batches: list[Batch]) -> list[Batch]:
        """Results of a step for batches of which the first is done twice and timed once."""
        step(batches[0])
        self._wait()
        cpu, wall = time.process_time(), time.perf_counter()
        results = [step(batch) for batch in batches]
        self._wait()
        rows = sum(len(batch["photo_uri"]) for batch in batches)
        self.cpu[name] = (time.process_time() - cpu) * 1000 / rows
        self.wall[name] = (time.perf_counter() - wall) * 1000 / rows
        return results

    def _wait(self) -> None:
        if self._cuda:
            torch.cuda.synchronize()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock, device = Clock(arguments.device), arguments.device
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        make_photos(folder / "photos", arguments.photos)
        networks = {"two-view": TwoViewNetwork(), "prnet": PRNet()}
        uris = np.array(sorted(map(str, (folder / "photos").iterdir())), object)
        columns = {"photo_uri": uris, "position": np.arange(len(uris))}
        starts = range(0, len(uris), BATCH)
        batches = [{name: values[start : start + BATCH] for name, values in columns.items()} for start in starts]

        read = clock.run("read", Reader(ReadSettings()), batches)
        for detector in ("dlib-mmod", "dlib-hog", "mmod", "cascade"):
            crop = Cropper(CropSettings(detector=detector, device=device), ReadSettings())
            cropped = clock.run(f"crop.{detector}", crop, read)
        faces = [select_ok(batch) for batch in cropped]
        fitted = clock.run("fit", Fitter(FitSettings(device=device)), faces)
        rotated = clock.run("rotate", Rotator(RotateSettings(device=device)), fitted)
        for method, network in networks.items():
            weights = folder / f"{method}.safetensors"
            save_file(network.state_dict(), weights)
            settings = ReconstructSettings.model_validate({"method": method, "weights": weights, "device": device})
            clock.run(f"reconstruct.{method}", Reconstructor(settings), rotated)
        mapped = clock.run("reconstruct.fitted", Reconstructor(ReconstructSettings(device=device)), rotated)
        files = FaceFiles(str(folder / "out"), S3Settings(), str(folder / "photos"), "glb", viewer_photos=0)
        for topology in ("model", "dense", "smooth"):
            exported = clock.run(f"export.{topology}", Exporter(ExportSettings(topology=topology)), mapped)
        clock.run("export.rows", Exporter(ExportSettings(meshes=False)), mapped)
        clock.run("write", FaceWriter(files), exported)
    print(f"{arguments.photos} photos, batches of {BATCH}, device {device}; milliseconds a photo")
    for step, cpu in clock.cpu.items():
        print(f"{step:22s} {cpu:8.1f} CPU {clock.wall[step]:8.1f} wall")


def select_ok(batch: Batch) -> Batch:
    """The first face of each photo that has one."""
    rows = (batch["status"] == OK) & (batch["face_index"] == 0)
    return {name: values[rows] for name, values in batch.items()}


if __name__ == "__main__":
    main()
