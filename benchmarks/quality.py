"""What the manifest's quality is worth: on views with known heads, spoilt on purpose, and its spread on photos.

    python benchmarks/quality.py --data PAIRS --signs FILE.npz [--photos FOLDER ...]

PAIRS is a data set that `facerecon synthesize` made. What was measured is kept in FILE and not measured again. Every
other subject gives the weights of the expected error by least squares, printed as `facerecon_ray/stages/fit_trust.py`
has them; all other figures are of the rest. Errors are mean distances of the fitted face's landmarks to the true ones,
shares of the true landmarks' box size.
"""

import argparse
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from box_fits import PLACES, BoxFits, Row, joined
from degraded_views import degraded_views
from scipy import stats

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.crop_transform import apply_transform
from facerecon_ray.geometry.fitting import box_size
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import adjust_boxes
from facerecon_ray.stages.fit_trust import BY_LANDMARKS, BY_NETWORK, CONSTANT, expected_error, quality
from facerecon_ray.storage.photos.photo_file import decode_photo

BATCH = 32
THRESHOLDS = (0.3, 0.5, 0.6, 0.7, 0.8)
SMALL = (0, 24, 48, 96, 1000)
"""Limits of the faces' sizes, pixels."""


def measured(fits: BoxFits, data: str, limit: int) -> dict[str, Row]:
    """Signs and errors of spoilt views, for fits by the network and by landmarks."""
    views = list(degraded_views(data, limit, np.random.default_rng(0)))
    tables: dict[str, list[Row]] = {"network": [], "landmarks": []}
    for start in range(0, len(views), BATCH):
        some = views[start : start + BATCH]
        rows = joined([fits.crop(view.photo, view.box[None]) for view in some])
        transforms = rows["crop_transform"]
        truth = apply_transform(transforms, np.stack([view.landmarks for view in some]))
        size = box_size(torch.from_numpy(truth)).numpy()
        for name, table in tables.items():
            signs = fits.fit(rows, by_landmarks=name == "landmarks")
            signs["error"] = np.linalg.norm(signs.pop(PLACES) - truth, axis=-1).mean(-1) / size
            signs["subject"] = np.array([view.subject for view in some])
            signs["true_yaw"] = np.array([view.yaw for view in some])
            signs["kinds"] = np.array([" ".join(sorted(view.kinds)) or "untouched" for view in some])
            signs["size"] = size / np.sqrt(np.abs(np.linalg.det(transforms[:, :, :2])))
            table.append(signs)
    return {name: joined(table) for name, table in tables.items()}


def calibrated(table: Row, names: tuple[str, ...]) -> np.ndarray:
    """Weights of the signs and a constant, in that order; the constant makes the mean error right."""
    inputs = np.stack([*(np.log(table[name]) for name in names), np.ones(len(table["error"]))], 1)
    weights: np.ndarray = np.linalg.lstsq(inputs, np.log(table["error"]), rcond=None)[0]
    weights[-1] += np.log(table["error"].mean() / np.exp(inputs @ weights).mean())
    return weights


def report(table: Row, weights: Mapping[str, float], name: str) -> None:
    """Print what a threshold is worth."""
    error, expected = table["error"], expected_error(table, weights)
    value = quality(expected)
    print(f"\nfit by {name}: {len(error)} views; rank correlation of quality and error", end=" ")
    print(f"{stats.spearmanr(value, error).statistic:.2f}")
    print(f"{'quality from':>14}{'share':>9}{'median error':>14}{'95 % under':>12}{'mean':>8}{'expected':>10}")
    for low in (0.0, *THRESHOLDS):
        above = value >= low
        if above.any():
            print(
                f"{low:>14.1f}{above.mean():>9.1%}{np.median(error[above]):>14.1%}"
                f"{np.percentile(error[above], 95):>12.1%}{error[above].mean():>8.1%}{expected[above].mean():>10.1%}"
            )
    groups = {kind: np.array([kind in kinds.split() for kinds in table["kinds"]]) for kind in _kinds(table)}
    for low, high in pairwise(SMALL):
        groups[f"{low}-{high} pixels"] = (table["size"] >= low) & (table["size"] < high)
    for low in (0, 30, 60):
        groups[f"yaw {low}-{low + 30}"] = (np.abs(table["true_yaw"]) >= low) & (np.abs(table["true_yaw"]) < low + 30)
    print(f"{'':>14}{'views':>9}{'median error':>14}{'expected':>12}{'quality':>9}")
    for kind, inside in groups.items():
        if inside.any():
            print(
                f"{kind:>14}{inside.sum():>9}{np.median(error[inside]):>14.1%}{np.median(expected[inside]):>12.1%}"
                f"{np.median(value[inside]):>9.2f}"
            )


def _kinds(table: Row) -> list[str]:
    return sorted({kind for kinds in table["kinds"] for kind in kinds.split()})


def photos(fits: BoxFits, folder: Path) -> None:
    """Print how qualities lie over the faces that the detector finds in photos."""
    detector = build_detector(CropSettings())
    signs = []
    for path in sorted(folder.iterdir()):
        try:
            photo = decode_photo(path.read_bytes(), ReadSettings()).pixels
        except PhotoError:
            continue
        faces = detector.detect([photo])[0]
        if len(faces.boxes):
            boxes = adjust_boxes(faces.boxes, detector.box_adjustment, faces.rolls)
            signs.append(fits.fit(fits.crop(photo, boxes, faces.rolls)))
    value = quality(expected_error(joined(signs), BY_NETWORK))
    shares = ", ".join(f"{np.mean(value >= low):.0%} from {low:g}" for low in THRESHOLDS)
    print(f"\n{len(value)} faces in {folder.name}: median quality {np.median(value):.2f}; {shares}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--views", type=int, default=2400)
    parser.add_argument("--signs", type=Path, required=True)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.signs.exists():
        tables = measured(BoxFits(), options.data, options.views)
        flat = {f"{name}/{key}": values for name, t in tables.items() for key, values in t.items()}
        np.savez(options.signs, allow_pickle=False, **flat)
    kept = np.load(options.signs)
    for name, weights in (("network", BY_NETWORK), ("landmarks", BY_LANDMARKS)):
        table = {key.partition("/")[2]: kept[key] for key in kept.files if key.startswith(f"{name}/")}
        learnt = table["subject"] % 2 == 0
        signs = tuple(sign for sign in weights if sign != CONSTANT)
        found = calibrated({key: values[learnt] for key, values in table.items()}, signs)
        print(f"\nfit by {name}, weights as measured:")
        print(", ".join(f'"{sign}": {weight:.3f}' for sign, weight in zip((*signs, CONSTANT), found, strict=True)))
        report({key: values[~learnt] for key, values in table.items()}, weights, name)
    for folder in options.photos:
        photos(BoxFits(), folder)


if __name__ == "__main__":
    main()
