"""Whether a repaired rotated view still shows the same person: dlib's face recognition network on real photos.

    python benchmarks/repaired_identity.py --photos FOLDER [--weights FILE] [--sheet FILE.png]

Cosine and distance between the descriptor of each face's crop and those of its rotated view: as it is rendered, black
where the photo saw nothing of the head; as it is filled by rule; and as the rotator repairs that. Below a distance of
0.6 dlib speaks of one person. All views are cut by the landmarks that the fitter finds in the filled one.
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from facerecon_ray.config.reconstruct import ChainSettings, RotateSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.face_descriptor import FaceDescriber, likeness
from facerecon_ray.stages.chain import CROP, FIT, ChainPart
from facerecon_ray.stages.network_fitting import NetworkFitter
from facerecon_ray.stages.rotate import Rotator
from facerecon_ray.stages.stage import OK

AT_ONCE = 16


def faces_in(folder: Path) -> dict[str, np.ndarray]:
    """Columns of all fitted faces in a folder's photos."""
    photos = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
    blank = {name: np.full(len(photos), value, object) for name, value in (("status", OK), ("error", ""))}
    uris = np.array([str(number) for number in range(len(photos))], object)
    faces = ChainPart(ChainSettings(), CROP, FIT)(
        {"photo_uri": uris, "photo_bytes": np.array(photos, object), **blank}
    )
    found = faces["status"] == OK
    return {name: column[found] for name, column in faces.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sheet", type=Path, help="picture of crops, filled and repaired views")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.default()
    fit, describer = NetworkFitter(None, model), FaceDescriber(model)
    rotators = {
        "filled": Rotator(RotateSettings(), model, masks=True),
        "repaired": Rotator(RotateSettings(repair="network", weights=options.weights), model),
    }
    faces = faces_in(options.photos)
    crops = faces["crop"]
    starts = range(0, len(crops), AT_ONCE)
    parts = [{name: column[first : first + AT_ONCE] for name, column in faces.items()} for first in starts]
    turned = {name: [rotate.process(part) for part in parts] for name, rotate in rotators.items()}
    views = {"rendered": np.concatenate([without_filling(part) for part in turned["filled"]])}
    views |= {name: np.concatenate([part["rotated"] for part in done]) for name, done in turned.items()}
    marks = {name: landmarks_in(fit, pictures) for name, pictures in (("crop", crops), ("view", views["filled"]))}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in views}
    for number, crop in enumerate(crops):
        own = describer.describe(crop, marks["crop"][number])
        for name, pictures in views.items():
            found[name].append(likeness(own, describer.describe(pictures[number], marks["view"][number])))
    print(f"{len(crops)} faces in photos")
    print(f"{'':>10}{'cosine':>9}{'distance':>10}{'below 0.6':>11}")
    for name, pairs in found.items():
        cosine, distance = np.array(pairs).T
        print(f"{name:>10}{cosine.mean():>9.4f}{distance.mean():>10.4f}{(distance < 0.6).mean():>11.1%}")
    for other in ("rendered", "filled"):
        better = np.array(found["repaired"])[:, 1] < np.array(found[other])[:, 1]
        print(f"repaired nearer than {other}: {better.mean():.0%} of the faces")
    if options.sheet:
        rows = np.concatenate([crops, views["filled"], views["repaired"]], 2).reshape(-1, 3 * crops.shape[2], 3)
        cv2.imwrite(str(options.sheet), cv2.cvtColor(rows, cv2.COLOR_RGB2BGR))


def without_filling(turned: dict[str, Any]) -> np.ndarray:
    """(B, 256, 256, 3) uint8 views with black where the photo saw nothing of the head."""
    seen = np.where(turned["rotated_head"] > 0, turned["rotated_seen"] / 255.0, 1.0)
    return (turned["rotated"] * seen[..., None]).round().astype(np.uint8)


def landmarks_in(fit: NetworkFitter, pictures: np.ndarray) -> np.ndarray:
    """(B, 68, 2) pixels."""
    marks = [
        fit.read(torch.from_numpy(pictures[first : first + AT_ONCE]).permute(0, 3, 1, 2).float()).landmarks
        for first in range(0, len(pictures), AT_ONCE)
    ]
    return torch.cat(marks).numpy()


if __name__ == "__main__":
    main()
