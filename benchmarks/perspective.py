"""What perspective and a photo's focal length are worth: the generator's people photographed from known distances.

The heads are those of training data, which the face model does not span, seen at yaws up to 45 degrees by the
generator's own camera. The fit gets their true points with errors as in `point_fit.py`, or, with --network, what the
fitter finds in the rendered photos. Prints for each distance, fitted as from far away, with the distance free, and
with the focal length as EXIF gives it: the mean distance to the true face after similarity alignment, the share of the
mean face's that it takes away, the error of the pose, and the distance that the fit finds.

    python benchmarks/perspective.py
    python benchmarks/perspective.py --people 100 --network
    python benchmarks/perspective.py --network --model face_model.npz --fitter fitter.safetensors
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from point_fit import Errors, distances

from facerecon_ray.config.synthesis import SubjectSettings, ViewSettings
from facerecon_ray.geometry.crop_camera import crop_lens
from facerecon_ray.geometry.crop_transform import crop_transform, cut_crop
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, box_size
from facerecon_ray.geometry.landmarks import LandmarkModel, landmarks_in_picture
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.point_noise import PointNoise
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.synthesis.model_building.dense_landmarks import dense_landmarks
from facerecon_ray.synthesis.people.subjects import SubjectSampler, head_geometry
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import View, ViewSampler

SIZE = 320
DISTANCES = (0.3, 0.45, 0.7, 1.2, 3.0)
MOST_YAW = 45.0
NOISE, RANK, MEASURED = 0.012, 40, 3000
LENSES = ("far away", "distance free", "with EXIF")

Fitting = Callable[[Lens | None], Fit]


@dataclass(frozen=True)
class Photographed:
    """B people from one distance.

    heads    (B, N, 3) metres
    points   (B, N, 3) image frame, pixels
    views    how they are seen
    images   (S, S, 3) uint8 each, none where they were not wanted
    """

    heads: np.ndarray
    points: np.ndarray
    views: list[View]
    images: list[np.ndarray]

    def marks(self, model: FaceModel) -> torch.Tensor:
        """(B, 68, 2) the true landmarks."""
        roll = torch.tensor([view.angles[2] for view in self.views])
        return landmarks_in_picture(model, torch.from_numpy(self.points), roll)[..., :2]


class Sitters:
    """The same people from every distance.

    Parameters
    ----------
    model : file of the face model that gives the mesh, or None
    count : of people
    render : whether photos are wanted
    """

    def __init__(self, model: Path | None, count: int, render: bool) -> None:
        sampler = SubjectSampler(SubjectSettings(), head_geometry(model))
        seeds = np.random.default_rng(11).integers(2**62, size=count).tolist()
        subjects = [sampler.subject(seed) for seed in seeds]
        self._heads = np.stack([sampler.geometry.surface(subject.vertices) for subject in subjects])
        self._scenes = [sampler.dress(subject) for subject in subjects] if render else []
        self._renderer = SceneRenderer()
        self._views = ViewSampler(ViewSettings(size=SIZE))

    def __call__(self, distance: float) -> Photographed:
        """Photos from a distance, metres."""
        views, points, images = [], [], []
        for number, head in enumerate(self._heads):
            drawn, rng = self._views.view(number, 0), np.random.default_rng([12, number])
            angles = (float(rng.uniform(-MOST_YAW, MOST_YAW)), drawn.angles[1], drawn.angles[2])
            middle = (SIZE / 2, SIZE / 2)
            view = replace(drawn, angles=angles, distance=distance, centre=middle, occluder_seed=None)
            views.append(view)
            points.append(view.project(head))
            if self._scenes:
                images.append(self._renderer.render(self._scenes[number], view).image)
        return Photographed(self._heads, np.stack(points), views, images)


def from_points(model: FaceModel, fit: LandmarkFitter, errors: Errors, seen: Photographed) -> tuple[Fitting, Lens]:
    """Fits to true points with errors, in the photo."""
    marks = seen.marks(model)
    exact = torch.cat([marks, torch.from_numpy(seen.points)[:, model.dense_landmarks, :2]], 1)
    deviation = NOISE * box_size(marks)[:, None].expand(exact.shape[:2])
    found = exact + errors(len(exact)) * deviation[..., None]
    focal = torch.tensor([view.scale * view.distance for view in seen.views])
    return lambda lens: fit(found, deviation, lens=lens), Lens(focal, torch.zeros(len(focal), 2))


def from_photos(model: FaceModel, fit: NetworkFitter, seen: Photographed) -> tuple[Fitting, Lens]:
    """Fits by the network, in crops."""
    transforms = crop_transform(seen.marks(model).numpy())
    crops = np.stack([cut_crop(image, transform) for image, transform in zip(seen.images, transforms, strict=True)])
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    focal, sides = np.array([view.scale * view.distance for view in seen.views]), np.full(len(crops), SIZE)
    return lambda lens: fit(pictures, lens), crop_lens(focal, sides, sides, transforms)


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="face model; without it, the embedded one")
    parser.add_argument("--fitter", type=Path, help="weights of the fitter for that model")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--network", action="store_true", help="render photos and let the fitter find the points")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.open(arguments.model)
    if len(model.dense_landmarks) == 0:
        model = replace(model, dense_landmarks=dense_landmarks(model))
    points = LandmarkModel.of(model, dense=True)
    places = points.mean[points.choose(points.mean[None], torch.zeros(1, 3))[0]].numpy()
    errors = Errors(places, np.random.default_rng(4))
    noise = PointNoise.measured(errors(MEASURED).flatten(1), RANK)
    by_points = LandmarkFitter(model, noise)
    by_network = NetworkFitter(arguments.fitter, model) if arguments.network else None
    sitters = Sitters(arguments.model, arguments.people, arguments.network)
    what = "the fitter's points" if by_network else f"{len(places)} true points with errors of {NOISE:.1%}"
    print(f"{arguments.people} people, {what}")
    print("metres  fitted            off   closer by   yaw pitch  roll   metres found (middle half)")
    for distance in DISTANCES:
        seen = sitters(distance)
        mean = distances(model, np.broadcast_to(model.mean.numpy(), seen.heads.shape), seen.heads).mean()
        fit, exif = from_photos(model, by_network, seen) if by_network else from_points(model, by_points, errors, seen)
        for name, lens in zip(LENSES, (None, Lens.unknown(len(seen.heads)), exif), strict=True):
            result = fit(lens)
            off = distances(model, model.vertices(result.shape, result.expression).numpy(), seen.heads).mean()
            pose = result.camera.angles - torch.tensor([view.angles for view in seen.views])
            yaw, pitch, roll = pose.abs().mean(0).tolist()
            found = "" if lens is None else np.quantile(1 / result.camera.nearness, (0.25, 0.75)).round(2)
            print(
                f"{distance:6.2f}  {name:14} {off:5.2f} mm {1 - off / mean:8.1%} "
                f"{yaw:8.2f} {pitch:5.2f} {roll:5.2f}   {found}"
            )


if __name__ == "__main__":
    main()
