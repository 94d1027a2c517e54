"""What a photo from the side adds: synthetic people, a front each with an expression and a side without, at some yaws.

Prints for each yaw how far reconstructed faces are from the true ones, after similarity alignment of the face region,
from the front photo alone and from both photos; of the shape alone, without expressions, the same of each photo and of
both; and how far apart the faces are for the face recognition network, of pairs of one person and of two.

    python benchmarks/two_photos.py --people 40
    python benchmarks/two_photos.py --people 40 --method two-view
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from facerecon_ray.config.reconstruct import ChainSettings, ReconstructSettings
from facerecon_ray.config.synthesis import SubjectSettings, ViewSettings
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.stages.chain import CROP, FIT, RECONSTRUCT, ROTATE, ChainPart, exporter
from facerecon_ray.stages.stage import OK, Batch, select
from facerecon_ray.storage.photos.photo_file import encode_photo
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler, angles_of_turned

PICTURE_SIZE = 400
YAWS, MOST_OFF = (35.0, 60.0, 85.0), 8.0
"""Of the side photos, and how far any angle is from what it should be at most, degrees."""

DISTANCE = (1.0, 3.0)
"""Metres from the camera."""

OF_PHOTO = ("crop", "crop_transform", "photo_width", "photo_height", "focal_length", "landmarks", "status", "error")


@dataclass(frozen=True)
class Sitter:
    """A front and a side of a person at each of `YAWS`, as photo files; the head in the front photo and without
    expression, (N, 3) metres each."""

    front: bytes
    sides: tuple[bytes, ...]
    head: np.ndarray
    neutral: np.ndarray


def sitters(count: int, seed: int) -> Iterator[Sitter]:
    """People, each a pure function of the seed."""
    people = SubjectSampler(SubjectSettings(glasses_share=0.05, headwear_share=0.0))
    renderer, views = SceneRenderer(), ViewSampler(ViewSettings(size=PICTURE_SIZE, distance=DISTANCE))
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        subject = people.subject(int(rng.integers(2**62)))
        scenes = people.dress(subject), people.dress(replace(subject, vertices=subject.neutral, actions={}))
        photos = []
        for index, yaw in enumerate((0.0, *YAWS)):
            off = rng.uniform(-MOST_OFF, MOST_OFF, 3)
            angles = angles_of_turned(float(rng.choice([-1, 1]) * yaw + off[0]), float(off[1]), float(off[2]))
            view = replace(views.view(seed * 1000 + number, index), angles=angles, occluder_seed=None)
            photos.append(encode_photo(Image.fromarray(renderer.render(scenes[min(index, 1)], view).image)))
        head, neutral = scenes[0].surface, people.geometry.surface(subject.neutral)
        yield Sitter(photos[0], tuple(photos[1:]), head, neutral)


def pairs(fronts: list[bytes], sides: list[bytes]) -> Batch:
    """As the read stage gives them."""
    count = len(fronts)
    return {
        "photo_bytes": np.array(fronts, object),
        "side_photo_bytes": np.array(sides, object),
        "status": np.full(count, OK, object),
        "error": np.full(count, "", object),
    }


def distances(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean over faces (B, M, 3) of the mean distance after similarity alignment, millimetres."""
    moved = apply_alignment(found, *align(found, truth))
    return float(np.linalg.norm(moved - truth, axis=-1).mean() * 1000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--method", choices=("fitted", "two-view"), default="fitted")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.default()
    face = UvLayout.of(model).vertices.numpy()
    settings = ChainSettings(pairs=True, reconstruct=ReconstructSettings(method=options.method))
    crop, fit = ChainPart(settings, CROP, CROP), ChainPart(settings, FIT, FIT)
    rotate = ChainPart(ChainSettings(), FIT, ROTATE)
    rebuild, export = ChainPart(settings, RECONSTRUCT, RECONSTRUCT), exporter(settings)
    people = list(sitters(options.people, options.seed))

    def faces(fitted: Batch) -> np.ndarray:
        return np.stack([mesh.vertices for mesh in export.meshes(rebuild(fitted), "model")])

    def shapes(coefficients: np.ndarray) -> np.ndarray:
        still = torch.zeros(len(coefficients), model.expression_size)
        return model.vertices(torch.from_numpy(coefficients), still)[:, face].numpy()

    print(f"{options.people} people, method {options.method}; millimetres")
    print("side's yaw  pairs   mean head   front   both   less by     shape: front   side   both      apart: one  two")
    for index, yaw in enumerate(YAWS):
        found = crop(pairs([person.front for person in people], [person.sides[index] for person in people]))
        shifted = [person.sides[index] for person in people[1:] + people[:1]]
        others = crop(pairs([person.front for person in people], shifted))["side_distance"]
        both = fit(found)
        alone = rotate({name: found[name] for name in OF_PHOTO})
        side = rotate({name: found.get(f"side_{name}", found[name]) for name in OF_PHOTO})
        good = np.flatnonzero((both["status"] == OK) & (alone["status"] == OK) & (side["status"] == OK))
        both, alone, side = (select(batch, good) for batch in (both, alone, side))
        heads = np.stack([people[row].head[face] for row in good])
        neutral = np.stack([people[row].neutral[face] for row in good])
        mean = distances(np.broadcast_to(model.mean[face].numpy(), heads.shape), heads)
        errors = [distances(faces(batch), heads) for batch in (alone, both)]
        by_shape = [distances(shapes(batch["shape"]), neutral) for batch in (alone, side, both)]
        same, two = (values[values > 0] for values in (found["side_distance"], others))
        print(
            f"{yaw:9.0f}° {len(good):6d} {mean:11.2f} "
            f"{errors[0]:7.2f} {errors[1]:6.2f} {1 - errors[1] / errors[0]:8.1%} "
            f"{by_shape[0]:16.2f} {by_shape[1]:6.2f} {by_shape[2]:6.2f} "
            f"{np.median(same):9.2f} (at most {same.max():.2f}) {np.median(two):.2f}"
        )


if __name__ == "__main__":
    main()
