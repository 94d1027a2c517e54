"""How much of a person the fit recovers: rendered anny heads, fitted to exact landmarks and to dlib's.

Prints, for heads within 30 degrees of yaw, the mean distance to the true surface after similarity alignment of the
face region, of the mean head and of the fitted head, and how much smaller the second is.

    python benchmarks/fit_recovery.py --heads 100
"""

import argparse

import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.stages.detect import build_detector
from facerecon_ray.stages.landmarks import LandmarkPredictor, adjust_boxes
from facerecon_ray.synthesis.anny_heads import HeadSampler
from facerecon_ray.synthesis.head_rendering import HeadRenderer, frontal_camera
from facerecon_ray.synthesis.head_topology import build_head_topology

PICTURE_SIZE = 400
MOST_YAW, MOST_PITCH, MOST_ROLL = 30.0, 10.0, 10.0


def true_heads(model: FaceModel, count: int, rng: np.random.Generator, expressive: bool) -> np.ndarray:
    """(count, N, 3) anny heads that the model was not built from, in the model's frame."""
    sampler = HeadSampler()
    topology = build_head_topology(sampler.average(), sampler.triangles)
    heads = sampler.expressive(count, rng).vertices if expressive else sampler.shapes(count, rng)
    surfaces = topology.surface(heads)
    face = model.face_vertices.numpy()
    mean = np.broadcast_to(model.mean.numpy(), surfaces.shape)
    return apply_alignment(surfaces, *align(surfaces[:, face], mean[:, face])).astype(np.float32)


def distances(model: FaceModel, heads: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(B,) mean distance of the face region's vertices after similarity alignment, millimetres."""
    face = model.face_vertices.numpy()
    moved = apply_alignment(heads[:, face], *align(heads[:, face], truth[:, face]))
    return np.asarray(np.linalg.norm(moved - truth[:, face], axis=-1).mean(1) * 1000)


def dlib_landmarks(model: FaceModel, heads: torch.Tensor, angles: torch.Tensor, seed: int) -> np.ndarray:
    """(B, 68, 2) landmarks that the crop stage's parts find in pictures of the heads, nan where no face is found."""
    detector, predictor = build_detector(CropSettings(detection_side=PICTURE_SIZE)), LandmarkPredictor()
    render = HeadRenderer(model)
    found = np.full((len(heads), 68, 2), np.nan, np.float32)
    for i in range(len(heads)):
        camera = frontal_camera(angles[i : i + 1], PICTURE_SIZE)
        picture = render(heads[i : i + 1], camera, PICTURE_SIZE, np.random.default_rng([seed, i]))
        boxes = detector.detect([picture])[0].boxes
        if len(boxes):
            found[i] = predictor.predict(picture, adjust_boxes(boxes[:1], detector.box_adjustment)[0])
    return found


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.default()
    fit = LandmarkFitter(model)
    print("heads        landmarks  found  mean head      fit closer by   error of yaw, pitch, roll")
    for expressive in (False, True):
        rng = np.random.default_rng(arguments.seed)
        truth = true_heads(model, arguments.heads, rng, expressive)
        widest = [MOST_YAW, MOST_PITCH, MOST_ROLL]
        angles = torch.from_numpy(rng.uniform(np.negative(widest), widest, (len(truth), 3)).astype(np.float32))
        heads = torch.from_numpy(truth)
        exact = projected_landmarks(model, heads, frontal_camera(angles, PICTURE_SIZE))[..., :2].numpy()
        for name, landmarks in (("exact", exact), ("dlib", dlib_landmarks(model, heads, angles, arguments.seed))):
            rows = ~np.isnan(landmarks).any((1, 2))
            result = fit(torch.from_numpy(landmarks[rows]))
            fitted = distances(model, model.vertices(result.shape, result.expression).numpy(), truth[rows]).mean()
            mean = distances(model, np.broadcast_to(model.mean.numpy(), truth[rows].shape), truth[rows]).mean()
            pose = (result.camera.angles - angles[rows]).abs().mean(0).tolist()
            print(
                f"{'expressive' if expressive else 'neutral':12} {name:10} {rows.sum():5d} {mean:7.2f} mm "
                f"{fitted:5.2f} mm {1 - fitted / mean:8.1%} {pose[0]:8.1f} {pose[1]:5.1f} {pose[2]:5.1f}"
            )


if __name__ == "__main__":
    main()
