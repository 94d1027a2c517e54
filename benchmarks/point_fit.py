"""What a fit recovers of people from points, simulated: 68 landmarks or dense ones, with perspective or without.

A simulation, no pictures: people are drawn from the face model itself, seen by pinhole cameras from 0.4 to 3 m, and
their points moved by errors that are alike over 25 mm, of a standard deviation that differs from point to point and is
told to the fit. Prints the mean distance to the true face after similarity alignment, how much of the mean face's that
takes away, the error of the pose, the median ratio between fitted and true distance, and the processor time for a face
in batches of 8 on one thread.

    python benchmarks/point_fit.py --model face_model.npz
    python benchmarks/point_fit.py --people 1000 --noise 0.01 0.015 --distance 0.3 0.6
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, box_size
from facerecon_ray.geometry.landmarks import LandmarkModel
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.point_noise import PointNoise
from facerecon_ray.geometry.pose import Camera

ALIKE_OVER, ALONE = 0.025, 0.2
"""Metres over which errors are alike, and the share of their variance that is each point's own."""

DEVIATIONS = 0.4
"""Standard deviation of the logarithm of the points' standard deviations."""

MOST_YAW, MOST_PITCH, MOST_ROLL = 60.0, 15.0, 15.0
SCALES = (700.0, 1100.0)
EXPRESSION = 0.4
START = (3.0, 0.04, 0.02)
"""Errors of the camera that the fit begins with: degrees, share of the scale, share of the box size."""

RANK, BATCH = 40, 8
MEASURED = 3000
"""Faces whose errors the noise is measured on."""


@dataclass(frozen=True)
class People:
    """B people: heads (B, N, 3), cameras, points (B, P, 2) and their standard deviations (B, P), pixels."""

    heads: Tensor
    camera: Camera
    points: Tensor
    deviation: Tensor
    start: Camera


class Errors:
    """Errors of points that are alike where they lie near each other, of variance 1."""

    def __init__(self, places: np.ndarray, rng: np.random.Generator) -> None:
        square = ((places[:, None] - places[None]) ** 2).sum(-1)
        alike = np.exp(-square / (2 * ALIKE_OVER**2)) * (1 - ALONE) + (ALONE + 1e-9) * np.eye(len(places))
        self._root, self._rng = np.linalg.cholesky(alike), rng

    def __call__(self, count: int) -> Tensor:
        """(count, P, 2)."""
        drawn = self._rng.standard_normal((count, 2, len(self._root))) @ self._root.T
        return torch.from_numpy(drawn.transpose(0, 2, 1).astype(np.float32).copy())


def drawn_people(
    model: FaceModel, count: int, noise: list[float], distance: list[float], errors: Errors, rng: np.random.Generator
) -> People:
    """People with their points."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, count).astype(np.float32))

    shape = torch.from_numpy(rng.standard_normal((count, model.shape_size)).astype(np.float32))
    expression = torch.from_numpy(rng.exponential(EXPRESSION, (count, model.expression_size)).astype(np.float32))
    expression = expression.clamp(max=float(model.expression_range[1]))
    angles = torch.stack([uniform(-limit, limit) for limit in (MOST_YAW, MOST_PITCH, MOST_ROLL)], 1)
    metres = torch.exp(uniform(*np.log(distance)))
    ray = torch.stack([uniform(-0.3, 0.3), uniform(-0.3, 0.3)], 1)
    place = torch.stack([uniform(110, 140), uniform(110, 140)], 1)
    camera = Camera(angles, uniform(*SCALES), place, 1 / metres, ray)
    points = LandmarkModel.of(model, dense=True)
    candidates = points.points(torch.cat([shape, expression], 1))
    chosen = points.choose(candidates, angles)
    exact = camera.project(candidates.gather(1, chosen[..., None].expand(-1, -1, 3)))[..., :2]
    size = box_size(exact[:, :LANDMARKS])
    usual = torch.from_numpy(np.exp(DEVIATIONS * rng.standard_normal(exact.shape[:2])).astype(np.float32))
    deviation = usual * (uniform(*noise) * size)[:, None]
    found = exact + errors(count) * deviation[..., None]
    degrees, share, shift = START
    start = Camera(
        angles + degrees * torch.from_numpy(rng.standard_normal((count, 3)).astype(np.float32)),
        camera.scale * torch.from_numpy(np.exp(share * rng.standard_normal(count)).astype(np.float32)),
        place + shift * size[:, None] * torch.from_numpy(rng.standard_normal((count, 2)).astype(np.float32)),
    )
    return People(model.vertices(shape, expression), camera, found, deviation, start)


def distances(model: FaceModel, heads: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(B,) mean distance of the face region's vertices after similarity alignment, millimetres."""
    face = model.face_vertices.numpy()
    moved = apply_alignment(heads[:, face], *align(heads[:, face], truth[:, face]))
    return np.asarray(np.linalg.norm(moved - truth[:, face], axis=-1).mean(1) * 1000)


def lenses(people: People) -> dict[str, Lens | None]:
    """What may be known of the camera: nothing and no perspective, nothing but usual distances, the focal length."""
    camera = people.camera
    focal = camera.scale / camera.nearness
    return {
        "orthographic": None,
        "distance free": Lens.unknown(len(focal)),
        "lens known": Lens(focal, camera.ray),
        "lens wrong by 1.5": Lens(1.5 * focal, camera.ray / 1.5),
    }


def fitted(fit: LandmarkFitter, people: People, points: int, lens: Lens | None) -> tuple[list[Fit], float]:
    """Fits in batches, and the processor seconds that they took."""
    begun, fits = time.process_time(), []
    for first in range(0, len(people.points), BATCH):
        rows = slice(first, first + BATCH)
        start = people.start
        fits.append(
            fit(
                people.points[rows, :points],
                people.deviation[rows, :points],
                Camera(start.angles[rows], start.scale[rows], start.translation[rows]),
                lens=None if lens is None else Lens(lens.focal_length[rows], lens.ray[rows]),
            )
        )
    return fits, time.process_time() - begun


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="face model with dense landmarks; without it, the embedded one")
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--noise", type=float, nargs=2, default=[0.010, 0.015], help="shares of the box size")
    parser.add_argument("--distance", type=float, nargs=2, default=[0.4, 3.0], help="metres")
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.open(arguments.model)
    rng = np.random.default_rng(arguments.seed)
    points = LandmarkModel.of(model, dense=True)
    places = points.mean[points.choose(points.mean[None], torch.zeros(1, 3))[0]].numpy()
    errors = Errors(places, rng)
    people = drawn_people(model, arguments.people, arguments.noise, arguments.distance, errors, rng)
    seen = errors(MEASURED).flatten(1)
    truth, mean = people.heads.numpy(), np.broadcast_to(model.mean.numpy(), people.heads.shape)
    alone = distances(model, mean, truth).mean()
    print(f"{arguments.people} people, the mean face is {alone:.2f} mm off")
    print("points  camera                  off   closer by   yaw pitch  roll   distance    a face")
    for count in dict.fromkeys((LANDMARKS, len(places))):
        fit = LandmarkFitter(model, PointNoise.measured(seen[:, : 2 * count], RANK))
        for name, lens in lenses(people).items():
            fits, seconds = fitted(fit, people, count, lens)
            shape, expression = (torch.cat([getattr(part, side) for part in fits]) for side in ("shape", "expression"))
            off = distances(model, model.vertices(shape, expression).numpy(), truth).mean()
            angles = torch.cat([part.camera.angles for part in fits]) - people.camera.angles
            pose = angles.abs().mean(0).tolist()
            nearness = torch.cat([part.camera.nearness for part in fits])
            ratio = float((people.camera.nearness / nearness).log().abs().median().exp()) if lens is not None else 0.0
            print(
                f"{count:6d}  {name:20} {off:5.2f} mm {1 - off / alone:8.1%} "
                f"{pose[0]:8.2f} {pose[1]:5.2f} {pose[2]:5.2f} {ratio:9.2f} {seconds / len(truth) * 1000:8.1f} ms"
            )


if __name__ == "__main__":
    main()
