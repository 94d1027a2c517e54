"""Compare the mmod detector in torch with dlib's own on a folder of photos.

    python benchmarks/detectors.py PHOTOS [--limit N] [--threads N] [--device cpu]

Prints, over all photos: faces that only one of them found, score differences, box overlap, milliseconds a photo.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.networks.face_detectors import Detector, build_detector
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.storage.photos.photo_file import decode_photo

SAME_FACE_OVERLAP = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of photos")
    parser.add_argument("--limit", type=int, help="use the first N photos")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads for torch")
    parser.add_argument("--device", default="cpu", help="where the torch detector runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    photos = load_photos(options.photos, options.limit)
    ours, our_ms = run(build_detector(CropSettings(detector="mmod", device=options.device)), photos)
    theirs, their_ms = run(build_detector(CropSettings(detector="dlib-mmod")), photos)

    pairs = [match(a, b) for a, b in zip(ours, theirs, strict=True)]
    overlaps = np.concatenate([overlap for overlap, _ in pairs])
    differences = np.concatenate([difference for _, difference in pairs])
    print(f"photos {len(photos)}, faces: torch {count(ours)}, dlib {count(theirs)}, both {len(overlaps)}")
    if len(overlaps):
        print(f"box overlap: median {np.median(overlaps):.4f}, lowest {overlaps.min():.4f}")
        print(f"score difference: median {np.median(differences):.6f}, largest {differences.max():.6f}")
    print(f"ms a photo (median): torch {our_ms:.1f}, dlib {their_ms:.1f}, ratio {their_ms / our_ms:.1f}")


def load_photos(folder: Path, limit: int | None) -> list[np.ndarray]:
    """Decode the photos of a folder, in the order of their names; other files are left out."""
    photos = []
    for path in sorted(folder.iterdir()):
        try:
            photos.append(decode_photo(path.read_bytes(), ReadSettings()).pixels)
        except PhotoError as error:
            print(f"left out {path.name}: {error}")
        if len(photos) == limit:
            break
    return photos


def run(detector: Detector, photos: list[np.ndarray]) -> tuple[list[Detections], float]:
    """Faces of each photo, and the median milliseconds that one photo takes."""
    detector.detect(photos[:1])
    found, milliseconds = [], []
    for photo in photos:
        start = time.perf_counter()
        found += detector.detect([photo])
        milliseconds.append(1000 * (time.perf_counter() - start))
    return found, statistics.median(milliseconds)


def match(a: Detections, b: Detections) -> tuple[np.ndarray, np.ndarray]:
    """(K,) overlaps (intersection over union) and (K,) score differences of the faces that both found."""
    low = np.maximum(a.boxes[:, None, :2], b.boxes[None, :, :2])
    high = np.minimum(a.boxes[:, None, 2:], b.boxes[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area_a, area_b = ((faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(-1) for faces in (a, b))
    overlap = shared / (area_a[:, None] + area_b[None] - shared)
    rows, columns = np.nonzero(overlap > SAME_FACE_OVERLAP)
    return overlap[rows, columns], np.abs(a.scores[rows] - b.scores[columns])


def count(found: list[Detections]) -> int:
    return sum(len(faces.scores) for faces in found)


if __name__ == "__main__":
    main()
