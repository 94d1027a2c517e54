"""In how many faces dlib's HOG detector finds a face: in rendered views, and in photos rolled and turned as those are.

    python benchmarks/hog_share.py --data PAIRS --photos FOLDER

Views within 45 degrees of yaw of a data set that `facerecon synthesize` made, and faces within 45 degrees in photos,
both as the 256 x 256 crops that the pipeline cuts. The generator rolls and pitches heads by up to 25 degrees, which
photographers seldom do: so the photos are also rolled so far, and their faces turned by the rotate stage's renderer
to yaws, pitches and rolls drawn as the generator's are. These are sharp, evenly lit and bare of hats and hands, and
their shapes are fits, closer to the mean face than people are: what they reach is about the most that heads can. The
last line has them taken by the generator's cameras, with their blur, noise, exposure and compression.
"""

import argparse
from pathlib import Path

import dlib
import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.config.synthesis import CameraSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.crop_transform import apply_transform, crop_transform, cut_crop
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.turned_view import turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import adjust_boxes
from facerecon_ray.stages.network_fitting import NetworkFitter, NetworkLandmarks
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.synthesis.rendering.camera_effects import sample_effects, take_photo, to_linear
from facerecon_ray.synthesis.rendering.view_sampling import angles_of_turned

FRONTAL, LARGEST_PITCH, LARGEST_ROLL, UPRIGHT = 45.0, 25.0, 25.0, 10.0
ROLLS = 4
"""Rolls, and poses, that each photo is turned to."""

SIDEWAYS = 10.0
"""Yaw beyond which a face is turned no further than to its own side, of which the photo shows more."""

Line = tuple[float, float, float, bool]
"""Yaw, pitch and roll in degrees, and whether a face was found."""


def found(detector: dlib.fhog_object_detector, crop: np.ndarray) -> bool:
    """Whether there is a face, in a picture twice as large, as dlib's examples look for small ones."""
    return len(detector(np.ascontiguousarray(crop), 1)) > 0


def rendered(detector: dlib.fhog_object_detector, data: str, most: int) -> list[Line]:
    lines: list[Line] = []
    for rows in read_pairs(open_store(data), None, "ok", ["crop", "pose"]):
        for crop, (yaw, pitch, roll) in zip(rows["crop"], rows["pose"].tolist(), strict=True):
            if abs(yaw) <= FRONTAL:
                lines.append((yaw, pitch, roll, found(detector, crop)))
        if len(lines) >= most:
            break
    return lines


def photographed(detector: dlib.fhog_object_detector, folder: Path) -> tuple[list[Line], ...]:
    """Faces as they are, with random rolls, turned to random poses, and these as a camera takes them."""
    model, rng = FaceModel.default(), np.random.default_rng(0)
    finder, fit = build_detector(CropSettings()), NetworkFitter(None, model)
    network = NetworkLandmarks(fit)
    straight: list[Line] = []
    rolled: list[Line] = []
    turned: list[Line] = []
    taken: list[Line] = []
    for path in sorted(folder.iterdir()):
        try:
            photo = decode_photo(path.read_bytes(), ReadSettings()).pixels
        except PhotoError:
            continue
        faces = finder.detect([photo])[0]
        if not len(faces.boxes):
            continue
        boxes = adjust_boxes(faces.boxes, finder.box_adjustment, faces.rolls)
        for marks in network.predict_all(photo, boxes, faces.rolls)[0]:
            crop = cut_crop(photo, crop_transform(marks))
            pixels = torch.from_numpy(crop).permute(2, 0, 1)[None].float()
            face = fit(pixels, Lens.unknown(1))
            yaw, pitch, roll = face.camera.angles[0].tolist()
            if abs(yaw) > FRONTAL:
                continue
            for pose in poses(yaw, rng):
                vertices = model.vertices(face.shape, face.expression)
                view = turn_view(model, pixels, vertices, face.camera, torch.tensor([pose]))
                picture = fill_view(view, pixels)[0].round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
                turned.append((*pose, found(detector, picture)))
                camera = sample_effects(CameraSettings(), rng)
                light = to_linear(picture) * np.float32(camera.exposure)
                taken.append((*pose, found(detector, take_photo(light, camera))))
            straight.append((yaw, pitch, roll, found(detector, crop)))
            for target in rng.uniform(-LARGEST_ROLL, LARGEST_ROLL, ROLLS):
                turn = turned_about(marks.mean(0), target - roll)
                to_crop = after(crop_transform(apply_transform(turn, marks)), turn)
                rolled.append((yaw, pitch, target, found(detector, cut_crop(photo, to_crop))))
    return straight, rolled, turned, taken


def poses(yaw: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Yaw, pitch and roll in degrees as the generator draws them, to the side that a photo of this yaw shows."""
    sides = np.full(ROLLS, np.sign(yaw)) if abs(yaw) > SIDEWAYS else rng.choice([-1.0, 1.0], ROLLS)
    yaws = sides * rng.uniform(0.0, FRONTAL, ROLLS)
    pitches = rng.uniform(-LARGEST_PITCH, LARGEST_PITCH, ROLLS)
    rolls = rng.uniform(-LARGEST_ROLL, LARGEST_ROLL, ROLLS)
    return [angles_of_turned(float(a), float(b), float(c)) for a, b, c in zip(yaws, pitches, rolls, strict=True)]


def turned_about(centre: np.ndarray, degrees: float) -> np.ndarray:
    """(2, 3) turn of a picture about a point by which a head's roll grows."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.concatenate([linear, (centre - linear @ centre)[:, None]], 1)


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(2, 3) one transform after another."""
    return np.concatenate([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]], 1)


def say(name: str, lines: list[Line]) -> None:
    _, pitch, roll, seen = np.array(lines, float).T
    upright = (np.abs(pitch) < UPRIGHT) & (np.abs(roll) < UPRIGHT)
    print(
        f"{name:34} {len(seen):5} faces, found {seen.mean():6.1%}; pitch {pitch.mean():+.0f} +- {pitch.std():.0f}, "
        f"roll +- {roll.std():.0f} degrees; "
        f"of the {upright.sum()} within {UPRIGHT:g} of both {seen[upright].mean():.1%}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="pairs made by facerecon synthesize")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--most", type=int, default=600, help="rendered views that are looked at")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    detector = dlib.get_frontal_face_detector()
    if options.data:
        say("rendered", rendered(detector, options.data, options.most))
    if options.photos:
        names = "photos", "rolled as the rendered are", "turned as the rendered are", "turned, by their cameras"
        for name, lines in zip(names, photographed(detector, options.photos), strict=True):
            say(name, lines)


if __name__ == "__main__":
    main()
