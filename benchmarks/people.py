"""People from many photos: what merging them gains, who is taken for whom, and how many faces can be grouped.

    python benchmarks/people.py photos --people 50      # error of the merged shape by number of photos
    python benchmarks/people.py groups --people 100     # precision and recall of the groups, on the same pictures
    python benchmarks/people.py scale --people 50000    # 1,000,000 descriptors

Photos are synthetic people, rendered from the sides at the yaws of `YAWS`, each with an own light and background,
every other one with an expression. Errors are mean distances of neutral faces after similarity alignment.
`photos` and `groups` keep the rows of their faces in a file (--rows), and
take them from there when it exists.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facerecon_ray.config.people import GroupingSettings
from facerecon_ray.config.reconstruct import ChainSettings, PeopleSettings
from facerecon_ray.config.synthesis import SubjectSettings, ViewSettings
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.person_merging import MergedShape, merge_photos
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.stages.chain import CROP, FIT, ChainPart
from facerecon_ray.stages.people.following import UNFOLLOWED
from facerecon_ray.stages.people.grouping import NOBODY, GroupedFaces, group_faces
from facerecon_ray.stages.stage import OK, Batch
from facerecon_ray.storage.photos.photo_file import encode_photo
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.rendering.scene_rendering import SceneRenderer
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler, angles_of_turned

YAWS = (0.0, -60.0, 60.0, -20.0, 20.0, -40.0, 40.0, -80.0, 80.0)
SPREADS = {1: (0,), 2: (0, 2), 3: (0, 1, 2), 5: (0, 1, 2, 3, 4), 9: tuple(range(9))}
"""By number of photos, which of `YAWS` they have."""

MOST_OFF = 8.0
"""How far any angle is from what it should be at most, degrees."""

PICTURE_SIZE, DISTANCE = 400, (1.0, 3.0)

WITHIN, BETWEEN = 0.40, 0.85
"""Distances between dlib's descriptors of one person's photos and of two people's, near the front, in the mean."""


@dataclass(frozen=True)
class Person:
    """Photo files at each of `YAWS`, and the head without expression, (N, 3) metres."""

    photos: tuple[bytes, ...]
    neutral: np.ndarray


def people(count: int, seed: int) -> Iterator[Person]:
    """People, each a pure function of the seed."""
    sampler = SubjectSampler(SubjectSettings(glasses_share=0.05, headwear_share=0.0))
    renderer, views = SceneRenderer(), ViewSampler(ViewSettings(yaws=YAWS, size=PICTURE_SIZE, distance=DISTANCE))
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        subject = sampler.subject(int(rng.integers(2**62)))
        scenes = sampler.dress(subject), sampler.dress(replace(subject, vertices=subject.neutral, actions={}))
        photos = []
        for index, yaw in enumerate(YAWS):
            off = rng.uniform(-MOST_OFF, MOST_OFF, 3)
            angles = angles_of_turned(float(yaw + off[0]), float(off[1]), float(off[2]))
            view = replace(views.view(seed * 1000 + number, index), angles=angles, occluder_seed=None)
            photos.append(encode_photo(Image.fromarray(renderer.render(scenes[index % 2], view).image)))
        yield Person(tuple(photos), sampler.geometry.surface(subject.neutral))


def faces_of(count: int, seed: int, path: Path | None) -> Batch:
    """Rows of the first faces in all photos: person, view, ok, and the stages' columns; and the people's neutral heads
    (P, M, 3)."""
    if path is not None and path.exists():
        with np.load(path) as stored:
            return dict(stored)
    model = FaceModel.default()
    face = UvLayout.of(model).vertices.numpy()
    find = ChainPart(ChainSettings(people=PeopleSettings(enabled=True)), CROP, FIT, model=model)
    parts, heads = [], []
    for number, person in enumerate(people(count, seed)):
        count_of = len(person.photos)
        found = find(
            {
                "photo_bytes": np.array(person.photos, object),
                "view": np.arange(count_of),
                "status": np.full(count_of, OK, object),
                "error": np.full(count_of, "", object),
            }
        )
        first = found["face_index"] == 0
        names = ("shape", "shape_information", "descriptor", "pose", "quality", "view", "bbox")
        rows = {name: found[name][first] for name in names}
        parts.append({**rows, "ok": found["status"][first] == OK, "person": np.full(first.sum(), number)})
        heads.append(person.neutral[face])
        print(f"\r{number + 1} of {count} people", end="", flush=True)
    print()
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    rows["neutral"] = np.stack(heads).astype(np.float32)
    if path is not None:
        np.savez(path, **rows)
    return rows


def distance(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of faces (M, 3) after similarity alignment, millimetres."""
    moved = apply_alignment(found[None], *align(found[None], truth[None]))[0]
    return float(np.linalg.norm(moved - truth, axis=-1).mean() * 1000)


def merged(rows: Batch, index: np.ndarray) -> MergedShape:
    """The shape from some rows."""
    evidence = ShapeEvidence.stored(rows["shape"][index], rows["shape_information"][index])
    return merge_photos(evidence, torch.from_numpy(rows["quality"][index]))


def measure_photos(options: argparse.Namespace) -> None:
    """Error by number of photos."""
    model = FaceModel.default()
    face = UvLayout.of(model).vertices
    rows = faces_of(options.people, options.seed, options.rows)

    def error(shape: torch.Tensor, person: int) -> float:
        vertices = model.vertices(shape[None], torch.zeros(1, model.expression_size))[0, face].numpy()
        return distance(vertices, rows["neutral"][person])

    at = {
        (int(p), int(v)): n for n, (p, v) in enumerate(zip(rows["person"], rows["view"], strict=True)) if rows["ok"][n]
    }
    count = len(rows["neutral"])
    whole = [p for p in range(count) if all((p, v) in at for v in SPREADS[5])]
    mean = np.array([error(torch.zeros(model.shape_size), p) for p in whole])
    front = np.array([error(torch.from_numpy(rows["shape"][at[p, 0]]), p) for p in whole])
    print(f"{len(whole)} of {count} people with a face at the five inner yaws; mean head {mean.mean():.2f} mm")
    print(
        "photos   error   removed of the mean head's   of the front photo's     mean left out   over best single photo"
    )
    for photos, views in SPREADS.items():
        errors, left, against = [], [], []
        for person in whole:
            index = np.array([at[person, v] for v in views if (person, v) in at])
            result = merged(rows, index)
            errors.append(error(result.shape, person))
            left.append(int((~result.used).sum()))
            against.append(errors[-1] / min(error(torch.from_numpy(rows["shape"][n]), person) for n in index) - 1)
        found = np.array(errors)
        print(
            f"{photos:6d} {found.mean():7.2f} {1 - found.mean() / mean.mean():28.1%} "
            f"{1 - found.mean() / front.mean():22.1%} {np.mean(left):17.2f} {np.mean(against):15.1%} "
            f"(at most {np.max(against):.0%})"
        )
    strangers(rows, at, whole)


def strangers(rows: Batch, at: dict[tuple[int, int], int], whole: list[int]) -> None:
    """Whether a photo of somebody else among five of a person is left out."""
    own, other, caught, wrong = [], [], 0, 0
    for person, stranger in zip(whole, whole[1:] + whole[:1], strict=True):
        index = np.array([*(at[person, v] for v in SPREADS[5]), at[stranger, 0]])
        result = merged(rows, index)
        caught += int(not result.used[-1])
        wrong += int((~result.used[:-1]).sum())
        own += result.disagreement[:-1].tolist()
        other.append(float(result.disagreement[-1]))
    print(
        f"a stranger among five photos: left out {caught} of {len(whole)}, and {wrong} of {5 * len(whole)} own ones; "
        f"disagreement of own photos: median {np.median(own):.1f}, 95 % {np.quantile(own, 0.95):.1f}; of strangers "
        f"{np.median(other):.1f}, 5 % {np.quantile(other, 0.05):.1f}"
    )


def measure_groups(options: argparse.Namespace) -> None:
    """Precision and recall of pairs, of faces up to some yaws, and of founders alone."""
    rows = faces_of(options.people, options.seed, options.rows)
    settings = GroupingSettings()
    yaw, size = np.abs(rows["pose"][:, 0]), (rows["bbox"][:, 2:] - rows["bbox"][:, :2]).min(1)
    print("yaw up to   faces   of nobody   groups of 2 and more   precision   recall")
    for most in (25.0, 45.0, 60.0, 90.0):
        chosen = np.flatnonzero(rows["ok"] & (yaw <= most))
        good = (rows["quality"] >= settings.founder_quality) & (yaw <= settings.founder_yaw)
        good &= size >= settings.founder_size
        faces = GroupedFaces(
            rows["descriptor"][chosen],
            chosen,
            good[chosen],
            np.full(len(chosen), NOBODY),
            np.full(len(chosen), UNFOLLOWED),
        )
        found = group_faces(faces, settings)
        together = (found[:, None] == found) & (found != NOBODY)
        same = rows["person"][chosen][:, None] == rows["person"][chosen]
        pairs = ~np.eye(len(chosen), dtype=bool)
        right, said, true = ((mask & pairs).sum() for mask in (together & same, together, same))
        several = (np.bincount(found[found != NOBODY]) > 1).sum()
        print(
            f"{most:9.0f} {len(chosen):7d} {(found == NOBODY).sum():11d} {several:22d} "
            f"{right / max(said, 1):11.1%} {right / true:8.1%}"
        )


def measure_scale(options: argparse.Namespace) -> None:
    """Time and memory of grouping descriptors around centres, as far apart as photos of one and of two people are."""
    rng = np.random.default_rng(options.seed)
    centres = rng.normal(0, BETWEEN / np.sqrt(2 * 128), (options.people, 128)).astype(np.float32)
    who = rng.integers(0, options.people, options.faces)
    descriptors = centres[who]
    descriptors += rng.standard_normal(descriptors.shape, np.float32) * np.float32(WITHIN / np.sqrt(2 * 128))
    nobody = np.full(options.faces, NOBODY)
    faces = GroupedFaces(descriptors, np.arange(options.faces), np.ones(options.faces, bool), nobody, nobody)
    start, used = time.perf_counter(), time.process_time()
    found = group_faces(faces, GroupingSettings())
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    pairs = np.unique(np.stack([found, who]), axis=1, return_counts=True)[1]
    right, said, true = (float((n * (n - 1.0)).sum()) for n in (pairs, np.bincount(found), np.bincount(who)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{options.faces:,} faces of {options.people:,} people: {seconds:.0f} s ({cpu:.0f} s of CPU), "
        f"{memory:.1f} GB; precision {right / said:.2%}, recall {right / true:.2%}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("photos", "groups", "scale"))
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--faces", type=int, default=1_000_000, help="for scale")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--rows", type=Path, help="file of the faces' rows, .npz")
    options = parser.parse_args()
    torch.set_num_threads(1)
    {"photos": measure_photos, "groups": measure_groups, "scale": measure_scale}[options.what](options)


if __name__ == "__main__":
    main()
