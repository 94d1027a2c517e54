"""Compare face detectors on photos whose faces are known: what they find by size, what is no face, and what it costs.

    python benchmarks/detectors.py PHOTOS [--faces benchmarks/faces_in_photos.csv] [--without-people FOLDER] [--rolled]

PHOTOS are the photos that the CSV file names. For each detector: faces found by size of their side, boxes that are no
face, milliseconds of one CPU core for detection alone and for the whole crop stage from the file's bytes.
--without-people counts boxes in a folder of photos that show nobody. --rolled turns the photos by 90, 180, 270 and 45
degrees and compares what is found there with what is found upright.
"""

import argparse
import csv
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.geometry.crop_transform import apply_transform, crop_transform, cut_crop, invert_transform
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.networks.face_detectors import side_to_decode
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.stages.face_fitting import fit_columns
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.uris import is_photo_name

FACES = Path(__file__).parent / "faces_in_photos.csv"
NEAR, ALIKE = 0.4, 1.7
"""How far a found face may be off: share of its side, and factor of its side. Detectors mean different squares."""

CLASSES = ((0, 60), (60, 120), (120, 10_000))
TURNS = (90.0, 180.0, 270.0, 45.0)
REPEATS = 3
GROUP_FACE = 40


@dataclass
class Score:
    """What a detector did over all photos."""

    found: dict[tuple[int, int], int]
    known: dict[tuple[int, int], int]
    wrong: list[str]
    matched: set[tuple[str, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of the photos that the CSV file names")
    parser.add_argument("--faces", type=Path, default=FACES, help="CSV: photo, x, y, side")
    parser.add_argument("--detectors", nargs="+", default=["mmod", "cascade"], help="values of crop.detector")
    parser.add_argument("--without-people", type=Path, help="folder of photos that show nobody")
    parser.add_argument("--rolled", action="store_true", help="also turn the photos")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    known = read_faces(options.faces)
    contents = {name: (options.photos / name).read_bytes() for name in known}
    portraits, group = portraits_of(contents, known), group_photo(contents, known)
    matched: dict[str, set[tuple[str, int]]] = {}
    for detector in options.detectors:
        settings = CropSettings.model_validate({"detector": detector, "device": "cpu"})
        finder = FaceFinder(settings)
        photos = {name: decoded(data, settings) for name, data in contents.items()}
        score = measure(finder, photos, known)
        matched[detector] = score.matched
        print(f"{detector}:")
        print("  found " + ", ".join(f"{score.found[c]} of {score.known[c]} of {c[0]}-{c[1]} px" for c in CLASSES))
        print(f"  in all {sum(score.found.values())} of {sum(score.known.values())}; no face: {score.wrong or 'none'}")
        if options.without_people:
            boxes, count = count_boxes(finder, options.without_people, settings)
            print(f"  {count} photos without people: {len(boxes)} boxes {boxes}")
        time_stages(settings, finder, portraits, group)
        if options.rolled:
            compare_rolled(finder, photos)
    if {"mmod", "cascade"} <= set(matched):
        both = len(matched["mmod"] & matched["cascade"])
        print(f"of the {len(matched['mmod'])} faces that mmod finds, cascade finds {both}")


def read_faces(path: Path) -> dict[str, np.ndarray]:
    """(K, 3) x, y and side of the known faces of each photo, pixels."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["photo"]]  # a photo without faces has one row with nothing but its name
            if row["side"]:
                rows[row["photo"]].append([float(row[name]) for name in ("x", "y", "side")])
    return {name: np.array(faces).reshape(-1, 3) for name, faces in rows.items()}


def decoded(data: bytes, settings: CropSettings) -> np.ndarray:
    return decode_photo(data, ReadSettings(), lambda longest: side_to_decode(longest, settings)).pixels


def measure(finder: FaceFinder, photos: dict[str, np.ndarray], known: dict[str, np.ndarray]) -> Score:
    score = Score(dict.fromkeys(CLASSES, 0), dict.fromkeys(CLASSES, 0), [], set())
    for name, pixels in photos.items():
        boxes = finder.detect([pixels])[0].boxes
        centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2] - boxes[:, 0]
        taken: set[int] = set()
        for number, (x, y, side) in enumerate(known[name]):
            kind = next(c for c in CLASSES if c[0] <= side < c[1])
            score.known[kind] += 1
            apart = np.hypot(centres[:, 0] - x, centres[:, 1] - y) / side
            fits = (apart < NEAR) & (np.abs(np.log(sides / side)) < np.log(ALIKE))
            fits[list(taken)] = False
            if fits.any():
                taken.add(int(np.where(fits, apart, np.inf).argmin()))
                score.found[kind] += 1
                score.matched.add((name, number))
        score.wrong += [f"{name} {np.round(boxes[i]).astype(int).tolist()}" for i in set(range(len(boxes))) - taken]
    return score


def count_boxes(finder: FaceFinder, folder: Path, settings: CropSettings) -> tuple[list[str], int]:
    boxes, count = [], 0
    for path in sorted(path for path in folder.iterdir() if is_photo_name(path.name)):
        found = finder.detect([decoded(path.read_bytes(), settings)])[0]
        boxes += [f"{path.name} {score:.2f}" for score in found.scores.tolist()]
        count += 1
    return boxes, count


def time_stages(settings: CropSettings, finder: FaceFinder, portraits: list[bytes], group: bytes) -> None:
    """Print what photos of one face, and a group photo, cost."""
    crop = Cropper(settings, ReadSettings())
    pixels = [decoded(data, settings) for data in portraits]
    alone = [cpu_ms(partial(finder.detect, [photo])) for photo in pixels]
    stage = [cpu_ms(partial(crop, batch_of(data))) for data in portraits]
    medians = statistics.median(alone), statistics.median(stage)
    print(f"  640 pixels, one face: CPU ms, median: detection {medians[0]:.1f}, crop stage {medians[1]:.1f}")
    found = len(finder.detect([decoded(group, settings)])[0].scores)
    costs = cpu_ms(partial(finder.detect, [decoded(group, settings)])), cpu_ms(partial(crop, batch_of(group)))
    print(
        f"  1,600 pixels, ten faces of {GROUP_FACE}: {found} found; CPU ms: detection {costs[0]:.1f}, crop stage "
        f"{costs[1]:.1f}"
    )


def portraits_of(contents: dict[str, bytes], known: dict[str, np.ndarray]) -> list[bytes]:
    """The photos with one face, 640 pixels along their longer side."""
    chosen = []
    for name, data in contents.items():
        if len(known[name]) == 1:
            pixels = decode_photo(data, ReadSettings(), lambda _: 640).pixels
            chosen.append(cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
    return chosen


def group_photo(contents: dict[str, bytes], known: dict[str, np.ndarray]) -> bytes:
    """Ten of the people beside one another, 1,600 x 1,200 pixels."""
    wall = np.full((1200, 1600, 3), 120, np.uint8)
    names = [name for name, faces in known.items() if len(faces) == 1][:10]
    for number, name in enumerate(names):
        pixels, (x, y, side) = decode_photo(contents[name], ReadSettings()).pixels, known[name][0]
        zoom = GROUP_FACE / side
        shown = np.array([[zoom, 0, 80 - zoom * x], [0, zoom, 80 - zoom * y]])
        person = cv2.warpAffine(
            cv2.GaussianBlur(pixels, (0, 0), 0.4 / zoom), shown, (160, 160), borderValue=(120,) * 3
        )
        top, left = 250 + 350 * (number // 5), 200 + 240 * (number % 5)
        wall[top : top + 160, left : left + 160] = person
    return cv2.imencode(".jpg", wall[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def batch_of(data: bytes) -> dict[str, np.ndarray]:
    text = {"photo_uri": "", "status": "ok", "error": ""}
    return {
        **{name: np.array([value], object) for name, value in text.items()},
        "photo_bytes": np.array([data], object),
    }


def cpu_ms(call: Callable[[], object]) -> float:
    """Milliseconds of this process's CPU time, the least of several calls."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        times.append(1000 * (time.process_time() - start))
    return min(times)


def compare_rolled(finder: FaceFinder, photos: dict[str, np.ndarray]) -> None:
    fit = NetworkFitter(None, FaceModel.default())
    for turn in TURNS:
        faces, off, fitted_off, rolls = 0, [], [], []
        for pixels in photos.values():
            turned, transform = turned_photo(pixels, turn)
            upright, there = (finder.detect([picture])[0] for picture in (pixels, turned))
            faces += len(upright.boxes)
            if not len(upright.boxes) or not len(there.boxes):
                continue
            marks, upright_rolls = finder.landmarks(pixels, upright.boxes, upright.rolls)
            turned_marks, turned_rolls = finder.landmarks(turned, there.boxes, there.rolls)
            back = invert_transform(transform)
            others = apply_transform(back, turned_marks)
            fitted = fitted_landmarks(fit, pixels, marks, upright_rolls)
            fitted_others = apply_transform(back, fitted_landmarks(fit, turned, turned_marks, turned_rolls))
            for face, own, roll in zip(marks, fitted, upright_rolls, strict=True):
                size = np.sqrt(np.ptp(face, axis=0).prod())
                apart = np.linalg.norm(others - face, axis=-1).mean(-1) / size
                best = int(apart.argmin())
                if apart[best] < NEAR / 2:
                    off.append(apart[best])
                    fitted_off.append(np.linalg.norm(fitted_others[best] - own, axis=-1).mean() / size)
                    rolls.append(abs((turned_rolls[best] - roll - turn + 180.0) % 360.0 - 180.0))
        if not off:
            print(f"  turned by {turn:.0f}: 0 of {faces} found again")
            continue
        print(
            f"  turned by {turn:.0f}: {len(off)} of {faces} found again; landmarks of the manifest off by "
            f"{100 * np.mean(fitted_off):.2f} % of the face on average (median {100 * np.median(fitted_off):.2f}), "
            f"those that crops are cut by {100 * np.mean(off):.2f} % (median {100 * np.median(off):.2f}), roll by "
            f"{np.mean(rolls):.1f} degrees (largest {max(rolls):.0f})"
        )


def fitted_landmarks(fit: NetworkFitter, pixels: np.ndarray, marks: np.ndarray, rolls: np.ndarray) -> np.ndarray:
    """(B, 68, 2) landmarks as the stage fit gives them, from those that crops are cut by; pixels of the photo."""
    transforms = crop_transform(marks, rolls)
    crops = np.stack([cut_crop(pixels, transform) for transform in transforms])
    found = fit(torch.from_numpy(crops).permute(0, 3, 1, 2).float(), Lens.unknown(len(crops)))
    return fit_columns(found, transforms)["landmarks"].numpy()


def turned_photo(pixels: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """The photo turned clockwise, whole, and the transform of its pixels (2, 3)."""
    height, width = pixels.shape[:2]
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size = np.ceil(np.abs(linear) @ (width, height) - 1e-6).astype(int)
    transform = np.column_stack([linear, size / 2 - linear @ (width / 2, height / 2)])
    in_opencv = transform.copy()
    in_opencv[:, 2] += linear.sum(1) / 2 - 0.5
    return cv2.warpAffine(pixels, in_opencv, tuple(size.tolist()), borderMode=cv2.BORDER_REPLICATE), transform


if __name__ == "__main__":
    main()
