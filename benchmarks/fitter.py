"""How well the fitter finds faces: on held-out rendered subjects by yaw, and on photos against dlib's landmarks.

    python benchmarks/fitter.py --data PAIRS [--photos FOLDER] [--weights FILE]

Rendered: subjects of the split `test` of a data set that `facerecon synthesize` made, in crops as the pipeline cuts
them and, for two rounds, in crops that are off by as much as the detector's boxes are; errors in shares of the
landmarks' box size. Photos: distance of the fitter's landmarks to dlib's, how much of it is the same offset in all
faces, and for comparison the distance of dlib's to themselves when the box moves by a few percent, for faces within 30
degrees of yaw.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.crop_transform import (
    CROP_SIZE,
    apply_transform,
    crop_transform,
    cut_crop,
    invert_transform,
)
from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter, box_size
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.fitter import telling_points
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes
from facerecon_ray.stages.network_fitting import NetworkFitter, NetworkLandmarks
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.pair_shards import read_pairs
from facerecon_ray.storage.photos.photo_file import decode_photo

YAW_BIN = 30.0
FRONTAL = 30.0
BOX_JITTER = 0.03
SHIFT, ZOOM = 0.04, 0.08
"""How far crops by the detector's boxes are off: standard deviations of place and size, as shares."""

REGIONS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}


def marks_in(fit: NetworkFitter, crops: np.ndarray) -> np.ndarray:
    """(B, 68, 2) crop pixels of the landmarks in crops (B, 256, 256, 3)."""
    found = fit.read(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
    return found.landmarks.double().numpy()


def rendered(fit: NetworkFitter, model: FaceModel, data: str, split: str | None) -> None:
    columns = ["crop", "pose", "landmarks_3d", "dense_landmarks"]
    rng = np.random.default_rng(0)
    told = telling_points(model)[LANDMARKS:] - LANDMARKS
    table: dict[str, list[np.ndarray]] = {}
    for rows in read_pairs(open_store(data), split, "ok", columns):
        truth = torch.from_numpy(rows["landmarks_3d"])[..., :2]
        size = box_size(truth)
        pictures = torch.from_numpy(rows["crop"]).permute(0, 3, 1, 2).float()
        network, found = fit.read_and_fit(pictures, Lens.unknown(len(pictures)))
        off = np.stack([jitter(rng) for _ in rows["crop"]])
        moved = marks_in(fit, np.stack([cut_crop(c, t) for c, t in zip(rows["crop"], off, strict=True)]))
        again = twice(fit, rows["crop"], moved, off)
        turned = (found.camera.angles - torch.from_numpy(rows["pose"]) + 180) % 360 - 180
        dense = torch.from_numpy(rows["dense_landmarks"]).view(len(size), -1, 2)[:, told]
        errors = (network.points[:, LANDMARKS:] - dense).norm(dim=-1)
        standard = errors.square().sum(1) / network.deviation[:, LANDMARKS:].square().sum(1)
        figures = {
            "yaw": torch.from_numpy(rows["pose"][:, 0]),
            "landmarks %": 100 * (network.landmarks - truth).norm(dim=-1).mean(-1) / size,
            "dense points %": 100 * errors.mean(-1) / size,
            "errors / told": (0.5 * standard).sqrt(),
            "two rounds %": 100 * (torch.from_numpy(again) - truth).norm(dim=-1).mean(-1) / size,
            "fitted face's %": 100 * (found.projected[..., :2] - truth).norm(dim=-1).mean(-1) / size,
            "pose deg": turned.abs().mean(-1),
            "yaw deg": turned[:, 0].abs(),
        }
        for name, values in figures.items():
            table.setdefault(name, []).append(values.numpy())
    joined = {name: np.concatenate(values) for name, values in table.items()}
    yaw = joined.pop("yaw")
    print(f"\n{len(yaw)} held-out rendered views: means")
    print(f"{'yaw from':>10}" + "".join(f"{name:>17}" for name in joined) + f"{'views':>8}")
    for low in np.arange(-90, 90, YAW_BIN):
        inside = (yaw >= low) & (yaw < low + YAW_BIN)
        if inside.any():
            means = "".join(f"{values[inside].mean():>17.2f}" for values in joined.values())
            print(f"{low:>10.0f}{means}{inside.sum():>8}")
    print(f"{'all':>10}" + "".join(f"{v.mean():>17.2f}" for v in joined.values()) + f"{len(yaw):>8}")


def jitter(rng: np.random.Generator) -> np.ndarray:
    """(2, 3) crop pixels to the pixels of a crop that is off."""
    scale = float(np.exp(ZOOM * np.clip(rng.standard_normal(), -2, 2)))
    shift = SHIFT * CROP_SIZE * np.clip(rng.standard_normal(2), -2, 2)
    middle = CROP_SIZE / 2
    return np.array([[scale, 0, middle - scale * middle + shift[0]], [0, scale, middle - scale * middle + shift[1]]])


def twice(fit: NetworkFitter, crops: np.ndarray, first: np.ndarray, off: np.ndarray) -> np.ndarray:
    """(B, 68, 2) crop pixels of landmarks that are found in crops that are off, and again in crops by those."""
    transforms = crop_transform(apply_transform(invert_transform(off), first))
    second = marks_in(fit, np.stack([cut_crop(c, t) for c, t in zip(crops, transforms, strict=True)]))
    return apply_transform(invert_transform(transforms), second).astype(np.float32)


def photos(fit: NetworkFitter, model: FaceModel, folder: Path) -> None:
    detector = build_detector(CropSettings())
    predictor, network, landmark_fit = LandmarkPredictor(), NetworkLandmarks(fit), LandmarkFitter(model)
    rng = np.random.default_rng(0)
    offsets, repeated, counted = [], [], 0
    for path in sorted(folder.iterdir()):
        try:
            photo = decode_photo(path.read_bytes(), ReadSettings()).pixels
        except PhotoError:
            continue
        faces = detector.detect([photo])[0]
        if not len(faces.boxes):
            continue
        boxes = adjust_boxes(faces.boxes, detector.box_adjustment, faces.rolls)
        found, _ = network.predict_all(photo, boxes, faces.rolls)
        for box, roll, marks in zip(boxes, faces.rolls.tolist(), found, strict=True):
            counted += 1
            dlibs = predictor.predict(photo, box, roll)
            size = float(box_size(torch.from_numpy(dlibs)))
            if abs(float(landmark_fit(torch.from_numpy(dlibs[None]).float()).camera.angles[0, 0])) > FRONTAL:
                continue
            offsets.append((marks - dlibs) / size)
            side = (box[2:] - box[:2]).mean()
            moved = [box + np.tile(BOX_JITTER * side * rng.standard_normal(2), 2) for _ in range(4)]
            others = [predictor.predict(photo, other, roll) for other in moved]
            repeated.append(np.mean([np.linalg.norm(other - dlibs, axis=-1).mean() for other in others]) / size)
    apart = np.linalg.norm(offsets, axis=-1)
    own = apart.mean(1)
    print(f"\n{counted} faces in photos, {len(own)} within {FRONTAL:g} degrees of yaw by dlib's landmarks")
    print(f"fitter to dlib:       mean {100 * np.mean(own):.2f} %, median {100 * np.median(own):.2f} %")
    for name, marks in REGIONS.items():
        constant = np.linalg.norm(np.mean(offsets, axis=0)[marks], axis=-1).mean()
        print(
            f"  {name:6} {100 * apart[:, marks].mean():.2f} %, of which {100 * constant:.2f} % the same in all faces"
        )
    print(f"dlib to itself moved: mean {100 * np.mean(repeated):.2f} %, median {100 * np.median(repeated):.2f} %")


def pace(fit: NetworkFitter) -> None:
    crops = torch.rand(32, 3, CROP_SIZE, CROP_SIZE) * 255
    lens = Lens.unknown(len(crops))
    for name, call in (("network", fit.read), ("network and Gauss-Newton steps", partial(fit, lens=lens))):
        call(crops)
        seconds = []
        for _ in range(5):
            start = time.process_time()
            call(crops)
            seconds.append(time.process_time() - start)
        print(f"{name}: {1000 * np.median(seconds) / len(crops):.2f} ms a face, one thread, batches of {len(crops)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--split", default="test", help="of the data; all, for a set that nothing was trained on")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--weights", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = FaceModel.default()
    fit = NetworkFitter(options.weights, model)
    if options.data:
        rendered(fit, model, options.data, None if options.split == "all" else options.split)
    if options.photos:
        photos(fit, model, options.photos)
    pace(fit)


if __name__ == "__main__":
    main()
