"""A picture that shows at a glance whether training data are right.

Above: one line for two subjects, the crops of all their views. Below, of a few subjects: the crop with its landmarks,
the rotate stage's partner, the head as it looks from there, and the position map, both as colours and as the points
that it places in the crop.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

CELL = 128
GAP = 4
LABEL_HEIGHT = 18
SHEET_COLUMNS = 2
DETAILED = 4

TRUE_COLOUR, GIVEN_COLOUR, MARGIN_COLOUR = (60, 230, 60), (240, 60, 40), (28, 28, 30)
TEXT_COLOUR = (225, 225, 225)
POINT_STEP = 6
VISIBLE = ("age", "gender", "expression", "skin", "hair", "hair_colour", "beard", "glasses", "headwear")
DETAILS = (
    "crop: true landmarks green, given ones red",
    "rotated: the rotate stage's output",
    "true rotated: rendered at that pose",
    "position map: x, y, z as red, green, blue",
    "position map: its points in the crop",
)


def contact_sheet(subjects: Sequence[dict[str, np.ndarray]]) -> np.ndarray:
    """Sheet of some subjects.

    Parameters
    ----------
    subjects : rows of each subject as `pair_arrays` gives them

    Returns
    -------
    (H, W, 3) uint8 RGB
    """
    views = max(len(subject["crop"]) for subject in subjects)
    overview = [_labelled(_line(list(subject["crop"]), views), [f"{_about(subject)}"]) for subject in subjects]
    detailed = [_details(subject, views) for subject in subjects[:DETAILED]]
    return np.concatenate([_columns(overview), _columns(detailed)])


def png(sheet: np.ndarray) -> bytes:
    """A sheet as PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())


def _details(subject: dict[str, np.ndarray], views: int) -> np.ndarray:
    maps = subject["position_map"].astype(np.float32)
    rows = zip(subject["crop"], subject["landmarks_3d"], subject["given_landmarks"], strict=True)
    lines = [
        [_dotted(_dotted(crop, true, TRUE_COLOUR), given, GIVEN_COLOUR) for crop, true, given in rows],
        list(subject["rotated"]),
        list(subject["true_rotated"]),
        [(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8) for values in maps],
        [_with_points(crop, values) for crop, values in zip(subject["crop"], maps, strict=True)],
    ]
    labels = [f"subject {subject['subject'][0]}, {text}" for text in DETAILS]
    return np.concatenate([_labelled(_line(line, views), [label]) for line, label in zip(lines, labels, strict=True)])


def _with_points(crop: np.ndarray, position_map: np.ndarray) -> np.ndarray:
    """The crop, darkened, with every sixth point of its map as bright as it is near."""
    points = position_map[::POINT_STEP, ::POINT_STEP].reshape(-1, 3)
    points = points[points.any(1)]
    depth = points[:, 2]
    brightness = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6) if len(points) else depth
    picture = crop // 3
    order = np.argsort(depth)
    column, row = (points[order, :2] * len(crop)).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < crop.shape[1] - 1) & (row < crop.shape[0] - 1)
    shade = np.stack([255 * brightness, 200 * brightness + 30, 255 - 200 * brightness], 1)[order][inside]
    for down in (0, 1):
        for right in (0, 1):
            picture[row[inside] + down, column[inside] + right] = shade
    return picture


def _dotted(crop: np.ndarray, points: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    picture = crop.copy()
    for x, y in points[np.isfinite(points).all(1), :2]:
        cv2.circle(picture, (round(float(x) * 16), round(float(y) * 16)), 24, colour, -1, cv2.LINE_AA, 4)
    return picture


def _line(pictures: list[np.ndarray], views: int) -> np.ndarray:
    """Pictures beside each other, padded to a number of views."""
    cells = [cv2.resize(picture, (CELL, CELL), interpolation=cv2.INTER_AREA) for picture in pictures]
    cells += [np.full((CELL, CELL, 3), MARGIN_COLOUR, np.uint8)] * (views - len(cells))
    return np.concatenate(cells, 1)


def _labelled(picture: np.ndarray, labels: list[str]) -> np.ndarray:
    """A picture with text above it and a gap around it."""
    bar = np.full((LABEL_HEIGHT, picture.shape[1], 3), MARGIN_COLOUR, np.uint8)
    text = "  ".join(labels)
    cv2.putText(bar, text, (4, LABEL_HEIGHT - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, TEXT_COLOUR, 1, cv2.LINE_AA)
    block = np.concatenate([bar, picture])
    return np.pad(block, ((0, GAP), (0, GAP), (0, 0)), constant_values=MARGIN_COLOUR[0])


def _columns(blocks: list[np.ndarray]) -> np.ndarray:
    """Blocks in two columns, from left to right and then down; the last place may stay empty."""
    empty = np.full_like(blocks[0], MARGIN_COLOUR[0])
    padded = blocks + [empty] * (-len(blocks) % SHEET_COLUMNS)
    lines = [np.concatenate(padded[i : i + SHEET_COLUMNS], 1) for i in range(0, len(padded), SHEET_COLUMNS)]
    return np.concatenate(lines)


def _about(subject: dict[str, np.ndarray]) -> str:
    """Number and the most visible attributes of a subject in one line."""
    attributes: dict[str, Any] = subject["attributes"][0]
    known = [f"{name} {attributes[name]}" for name in VISIBLE if name in attributes]
    return ", ".join([f"subject {subject['subject'][0]} ({subject['split'][0]})", *known])
