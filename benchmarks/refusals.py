"""Which fits are refused: of boxes that show no face, of faces that lie wrongly, and of faces that are fitted well.

    python benchmarks/refusals.py --signs FILE.npz --scenes FOLDER --photos FOLDER [FOLDER ...] [--sheet FILE.png]

Scenes are pictures without people, photos such with people. What was measured is kept in FILE.npz and not measured
again; with several files, those of other runs, it counts what is in all of them. Boxes: random squares of scenes, of
made backgrounds and of photos, boxes beside faces, and the detector's own in photos turned upside down or on their
side. A fit within 15 % of the landmarks of a face, as they are found by the detector's box in the upright photo, is
right wherever the box was. The detector's boxes in photos count as right: look at the
sheet, which shows the crops of all that is right and refused, or wrong and ok.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from box_fits import PLACES, BoxFits, Row, joined

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.crop_transform import apply_transform, invert_transform
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import adjust_boxes
from facerecon_ray.stages.fit_trust import BY_NETWORK, expected_error, refusals
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.synthesis.rendering.background_scenes import make_background

SAME_FACE = 0.15
"""Mean distance of landmarks, share of their box size, up to which a fit is that face's."""

LEAST_BOX, MOST_BOX = 24, 0.6
"""Random boxes: pixels, and share of the photo's shorter side."""

BESIDE = (0.3, 0.9)
"""How far boxes beside a face are from it, box widths."""

CELL, ACROSS = 128, 16


def random_boxes(photo: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 4) squares within a photo."""
    height, width = photo.shape[:2]
    low, high = np.log([LEAST_BOX, max(LEAST_BOX + 1, MOST_BOX * min(height, width))]).tolist()
    side = np.exp(rng.uniform(low, high, (count, 1)))
    corner = rng.uniform(0, 1, (count, 2)) * np.maximum(0, np.array([width, height]) - side)
    return np.concatenate([corner, corner + side], 1)


def opened(folder: Path) -> Iterator[np.ndarray]:
    """Photos of a folder and those below it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                yield decode_photo(path.read_bytes(), ReadSettings(max_side=1024)).pixels
            except PhotoError:
                continue


class Table:
    """Boxes by kind, with their signs, whether their fits are right, and small pictures.

    Parameters
    ----------
    fits : fits them
    """

    def __init__(self, fits: BoxFits) -> None:
        self._fits = fits
        self.parts: list[Row] = []

    def add(
        self,
        kind: str,
        photo: np.ndarray,
        boxes: np.ndarray,
        faces: np.ndarray | None,
        rolls: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Fit boxes (B, 4) of a photo; returns the landmarks (B, 68, 2) that are found, photo pixels.

        faces : (F, 68, 2) those of the photo; None says that every box is a face's
        """
        rows = self._fits.crop(photo, boxes, rolls)
        signs = self._fits.fit(rows)
        marks = signs.pop(PLACES)
        places = apply_transform(invert_transform(rows["crop_transform"]), marks)
        right = np.ones(len(boxes), bool)
        if faces is not None:
            right = np.asarray((_apart(places, faces) < SAME_FACE).any(1))
        pictures = np.stack([_cell(crop, points) for crop, points in zip(rows["crop"], marks, strict=True)])
        self.parts.append({**signs, "kind": np.full(len(boxes), kind), "right": right, "picture": pictures})
        return places


def add_scenes(table: Table, folder: Path, each: int, made: int, rng: np.random.Generator) -> None:
    """Boxes where there is nobody."""
    nobody = np.zeros((0, 68, 2))
    for photo in opened(folder):
        table.add("scenes", photo, random_boxes(photo, each, rng), nobody)
    for _ in range(made):
        photo = make_background(512, rng)
        table.add("made backgrounds", photo, random_boxes(photo, each, rng), nobody)


def add_photos(table: Table, folder: Path, each: int, rng: np.random.Generator) -> None:
    """The detector's boxes, boxes elsewhere and half beside faces, and faces that lie otherwise than boxes say."""
    detector = build_detector(CropSettings())
    for photo in opened(folder):
        found = detector.detect([photo])[0]
        if not len(found.boxes):
            continue
        boxes = adjust_boxes(found.boxes, detector.box_adjustment, found.rolls)
        faces = table.add(f"faces, {folder.name}", photo, boxes, None, found.rolls)
        if not each:
            continue
        table.add("parts of photos", photo, random_boxes(photo, each, rng), faces)
        some = boxes[rng.integers(len(boxes), size=each // 2)]
        angle, far = rng.uniform(0, 2 * np.pi, len(some)), rng.uniform(*BESIDE, len(some)) * (some[:, 2] - some[:, 0])
        table.add("beside faces", photo, some + np.tile(_on_circle(angle) * far[:, None], 2), faces)
        height, width = photo.shape[:2]
        for kind, turns in (("on their side", 1), ("on their side", 3), ("upside down", 2)):
            move = turn_points(turns, width, height)
            corners = move(boxes[:1].reshape(1, 2, 2))
            turned = np.concatenate([corners.min(1), corners.max(1)], 1)
            table.add(kind, np.ascontiguousarray(np.rot90(photo, turns)), turned, move(faces))


def turn_points(turns: int, width: int, height: int) -> Callable[[np.ndarray], np.ndarray]:
    """What np.rot90 does to the places in a picture."""

    def move(points: np.ndarray) -> np.ndarray:
        x, y = points[..., 0], points[..., 1]
        places = {1: (y, width - x), 2: (width - x, height - y), 3: (height - y, x)}
        return np.stack(places[turns], -1)

    return move


def report(table: Row, sheet: Path | None) -> None:
    """Print the counts, and draw the crops of fits that ought to be the others."""
    reasons = refusals(table, expected_error(table, BY_NETWORK))
    refused = reasons != ""
    print(f"\n{'':>20}{'right, ok':>14}{'refused':>10}{'wrong, ok':>14}{'refused':>10}")
    for kind in dict.fromkeys(table["kind"].tolist()):
        here = table["kind"] == kind
        counts = [(here & (table["right"] == right) & (refused == no)).sum() for right in (1, 0) for no in (0, 1)]
        print(f"{kind:>20}{counts[0]:>14}{counts[1]:>10}{counts[2]:>14}{counts[3]:>10}")
    wrong = ~table["right"]
    passed = (~refused & wrong).sum()
    print(f"\nof {wrong.sum()} wrong fits {passed} are ok: {passed / wrong.sum():.2%}")
    for text, count in zip(*np.unique(reasons[wrong & refused].astype(str), return_counts=True), strict=True):
        print(f"{count:>8}  {text}")
    if sheet:
        shown = np.flatnonzero(refused == table["right"])
        cells = [_labelled(table["picture"][index], f"{table['kind'][index]} {index}") for index in shown]
        cells += [np.zeros((CELL, CELL, 3), np.uint8)] * (-len(cells) % ACROSS)
        lines = [np.hstack(cells[start : start + ACROSS]) for start in range(0, len(cells), ACROSS)]
        cv2.imwrite(str(sheet), np.vstack(lines)[..., ::-1])


def _apart(places: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(B, F) mean distances of landmarks (B, 68, 2) to those of faces (F, 68, 2), shares of the faces' box sizes."""
    size = np.sqrt(np.ptp(faces, axis=1).prod(-1))
    return np.linalg.norm(places[:, None] - faces, axis=-1).mean(-1) / size


def _on_circle(angle: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(angle), np.sin(angle)], -1)


def _cell(crop: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """(128, 128, 3) a crop with its landmarks."""
    picture = crop.copy()
    for x, y in marks.round().astype(int):
        cv2.circle(picture, (int(x), int(y)), 2, (60, 230, 60), -1)
    return cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA)


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    return cv2.putText(picture.copy(), text, (2, 10), cv2.FONT_HERSHEY_PLAIN, 0.7, (255, 80, 60), 1)


def main() -> None:
    """Measure, count, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signs", type=Path, nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenes", type=Path)
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--each", type=int, default=12, help="boxes in a scene")
    parser.add_argument("--made", type=int, default=80, help="made backgrounds")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.signs[0].exists():
        rng, table = np.random.default_rng(options.seed), Table(BoxFits())
        if options.scenes:
            add_scenes(table, options.scenes, options.each, options.made, rng)
        for folder in options.photos:
            add_photos(table, folder, options.each // 2, rng)
        np.savez(options.signs[0], allow_pickle=False, **joined(table.parts))
    report(joined([dict(np.load(path)) for path in options.signs]), options.sheet)


if __name__ == "__main__":
    main()
