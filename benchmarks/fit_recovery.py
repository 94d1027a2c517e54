"""How much of a person the fit recovers: photos of synthetic people, fitted to exact landmarks, by the fitter and to
dlib's landmarks.

Prints, for heads within 30 degrees of yaw, the error of the landmarks, the mean distance to the true surface after
similarity alignment of the face region, of the mean head and of the fitted head, and how much smaller the second is.

    python benchmarks/fit_recovery.py --heads 100
    python benchmarks/fit_recovery.py --heads 100 --photos portraits/      skin from photos
    python benchmarks/fit_recovery.py --heads 100 --pictures plain         the pictures that placed the landmarks
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from facerecon_ray.config.photos import PhotoTextureSettings
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.config.synthesis import SubjectSettings, ViewSettings
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.crop_transform import crop_transform, cut_crop
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter, box_size
from facerecon_ray.geometry.landmarks import landmarks_in_picture
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.synthesis.model_building.head_rendering import HeadRenderer, frontal_camera
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.portraits.photo_library import PhotoLibrary
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler

PICTURE_SIZE = 400
MOST_YAW, MOST_PITCH, MOST_ROLL = 30.0, 10.0, 10.0
DISTANCE = (1.0, 3.0)
"""Metres from the camera: usual for portraits; nearer, the perspective is part of the error."""

FACES = {
    "neutral": SubjectSettings(neutral_share=1.0),
    "expressive": SubjectSettings(neutral_share=0.0),
    "as drawn": SubjectSettings(),
}
"""As drawn: with the share of neutral faces that training data have."""


@dataclass(frozen=True)
class Sample:
    """One picture: (S, S, 3) uint8; the head (N, 3) in metres; its points (N, 3) in the image frame; its angles."""

    image: np.ndarray
    head: np.ndarray
    points: np.ndarray
    angles: tuple[float, float, float]


class Sitters:
    """People, each a pure function of a seed, and pictures of them.

    Parameters
    ----------
    model : gives the mesh
    pictures : plain or dressed
    photos : folder whose photos give the skin, or None
    """

    def __init__(self, model: FaceModel, pictures: str, photos: str | None) -> None:
        self._model = model
        self._plain = HeadRenderer(model) if pictures == "plain" else None
        self._renderer = SceneRenderer()
        self._views = ViewSampler(ViewSettings(size=PICTURE_SIZE, distance=DISTANCE))
        self._people = {name: SubjectSampler(settings) for name, settings in FACES.items()}
        geometry = self._people["as drawn"].geometry
        self._library = PhotoLibrary.open(photos, geometry, PhotoTextureSettings(), report=print) if photos else None

    def __call__(self, count: int, seed: int, faces: str) -> Iterator[Sample]:
        """Pictures of people in random poses; the same seed gives the same people, whatever the pictures."""
        people = self._people[faces]
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            widest = np.array([MOST_YAW, MOST_PITCH, MOST_ROLL])
            yaw, pitch, roll = (float(angle) for angle in rng.uniform(-widest, widest))
            subject = people.subject(int(rng.integers(2**62)))
            if self._plain is not None:
                surface = people.geometry.surface(subject.vertices)
                head, camera = torch.from_numpy(surface)[None], frontal_camera(torch.tensor([[yaw, pitch, roll]]), 400)
                image = self._plain(head, camera, PICTURE_SIZE, rng)
                yield Sample(image, surface, camera.project(head)[0].numpy(), (yaw, pitch, roll))
                continue
            skin = None
            if self._library is not None:
                painted = people.dresser.skin(subject)
                skin = self._library.skin(painted, rng).over(painted)
            scene = people.dress(subject, skin)
            view = replace(self._views.view(seed, number % 8), angles=(yaw, pitch, roll), occluder_seed=None)
            rendering = self._renderer.render(scene, view)
            yield Sample(rendering.image, scene.surface, rendering.points.astype(np.float32), (yaw, pitch, roll))


def distances(model: FaceModel, heads: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(B,) mean distance of the face region's vertices after similarity alignment, millimetres."""
    face = model.face_vertices.numpy()
    moved = apply_alignment(heads[:, face], *align(heads[:, face], truth[:, face]))
    return np.asarray(np.linalg.norm(moved - truth[:, face], axis=-1).mean(1) * 1000)


def crops_of(samples: list[Sample], landmarks: np.ndarray) -> torch.Tensor:
    """(B, 3, 256, 256) float32 0 to 255, crops as the crop stage cuts them."""
    cut = zip(samples, crop_transform(landmarks), strict=True)
    crops = np.stack([cut_crop(sample.image, transform) for sample, transform in cut])
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float()


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pictures", choices=("dressed", "plain"), default="dressed")
    parser.add_argument("--photos", help="folder of near-frontal photos for the skin")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.default()
    finders = {
        "fitter": FaceFinder(CropSettings(detection_side=PICTURE_SIZE, landmarks="network")),
        "dlib": FaceFinder(CropSettings(detection_side=PICTURE_SIZE, landmarks="dlib")),
    }
    fit, look = LandmarkFitter(model), NetworkFitter(None, model)
    sitters = Sitters(model, arguments.pictures, arguments.photos)
    print("heads        landmarks  found   error  mean head      fit closer by   error of yaw, pitch, roll")
    for faces in FACES:
        samples = list(sitters(arguments.heads, arguments.seed, faces))
        points = torch.from_numpy(np.stack([sample.points for sample in samples]))
        angles = torch.tensor([sample.angles for sample in samples])
        truth = np.stack([sample.head for sample in samples])
        exact = landmarks_in_picture(model, points, angles[:, 2])[..., :2]
        nowhere = np.full((68, 2), np.nan)
        sources = {"exact": exact}
        for name, find in finders.items():
            guessed = [find(sample.image) for sample in samples]
            marks = np.stack([nowhere if found is None else found for found in guessed]).astype(np.float32)
            sources[name] = torch.from_numpy(marks)
        for name, landmarks in sources.items():
            rows = ~landmarks.isnan().any(-1).any(-1)
            off = ((landmarks - exact)[rows].norm(dim=-1).mean(-1) / box_size(exact[rows])).mean()
            if name == "fitter":
                chosen = [sample for sample, there in zip(samples, rows, strict=True) if there]
                result = look(crops_of(chosen, landmarks[rows].numpy()), Lens.unknown(len(chosen)))
            else:
                result = fit(landmarks[rows], lens=Lens.unknown(int(rows.sum())))
            fitted = distances(model, model.vertices(result.shape, result.expression).numpy(), truth[rows]).mean()
            mean = distances(model, np.broadcast_to(model.mean.numpy(), truth[rows].shape), truth[rows]).mean()
            pose = (result.camera.angles - angles[rows]).abs().mean(0).tolist()
            print(
                f"{faces:12} {name:10} {int(rows.sum()):5d} {off:7.2%} "
                f"{mean:7.2f} mm {fitted:5.2f} mm {1 - fitted / mean:8.1%} "
                f"{pose[0]:8.1f} {pose[1]:5.1f} {pose[2]:5.1f}"
            )


if __name__ == "__main__":
    main()
