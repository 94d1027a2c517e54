"""What drawing heads costs on one CPU thread: plain torch and the compiled loops in turn, milliseconds a picture.

Both draw the same heads at yaws from -90 to 90 degrees.

    python benchmarks/rasterizer.py --times 5
"""

import argparse
import time
from statistics import median
from types import ModuleType

import torch

from facerecon_ray.geometry import rasterizer_numba, rasterizer_torch
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer_torch import NOTHING

HEADS, SIZE = 8, 256


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, random = FaceModel.default(), torch.Generator().manual_seed(0)
    shape = torch.randn(HEADS, model.shape_size, generator=random)
    yaws = torch.nn.functional.pad(torch.linspace(-90.0, 90.0, HEADS)[:, None], (0, 2))
    camera = Camera(yaws, torch.full((HEADS,), 950.0), torch.full((HEADS, 2), SIZE / 2))
    points = camera.project(model.vertices(shape, torch.zeros(HEADS, model.expression_size)))
    ways = {"plain torch": rasterizer_torch, "compiled loops": rasterizer_numba}
    rasterizer_numba.compile_all()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.times):
        for name, way in ways.items():
            seconds[name].append(_seconds(way, points, model.closed_triangles))
    print(f"{HEADS} heads of {len(model.closed_triangles)} triangles, {SIZE} x {SIZE} pixels")
    for name, taken in seconds.items():
        print(f"{name:16} {1000 * median(taken) / HEADS:6.2f} ms a picture")


def _seconds(way: ModuleType, points: torch.Tensor, triangles: torch.Tensor) -> float:
    start = time.process_time()
    nearest = torch.full((len(points), SIZE, SIZE), NOTHING, dtype=torch.int64)
    way.draw(nearest, points, triangles, cull_back=True)
    way.resolve(nearest, points, triangles)
    return time.process_time() - start


if __name__ == "__main__":
    main()
