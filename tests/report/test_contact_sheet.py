import sys
from pathlib import Path

import cv2
import numpy as np

from facerecon_ray.report.contact_sheet import CELL, GAP, LABEL_HEIGHT, contact_sheet, png

sys.path.insert(0, str(Path(__file__).parent.parent / "storage"))
from pairs import pair_batch


def subject(number: int, views: int, shade: int) -> dict:
    batch = pair_batch(number, status=("ok",) * views)
    batch["crop"][:] = shade
    for name in ("landmarks_3d", "given_landmarks"):
        batch[name] = batch[name] * 20.0
    return batch


def test_every_subjects_views_are_there_in_order_two_subjects_a_line() -> None:
    sheet = contact_sheet([subject(0, 3, 40), subject(1, 3, 90), subject(2, 2, 160)])
    block_width, block_height = 3 * CELL + GAP, LABEL_HEIGHT + CELL + GAP
    details = 2 * 5 * block_height
    assert sheet.shape == (2 * block_height + details, 2 * block_width, 3)
    middles = [
        [
            sheet[line * block_height + LABEL_HEIGHT + CELL // 2, x * CELL + x // 3 * GAP + CELL // 2, 0]
            for x in range(6)
        ]
        for line in range(2)
    ]
    assert middles == [[40, 40, 40, 90, 90, 90], [160, 160, 28, 28, 28, 28]]


def test_true_landmarks_are_green_and_given_ones_red_at_their_places() -> None:
    batch = subject(0, 1, 0)
    batch["landmarks_3d"] = np.full((1, 68, 3), 64.0, np.float32)
    batch["given_landmarks"] = np.full((1, 68, 2), (192.0, 128.0), np.float32)
    sheet = contact_sheet([batch])
    picture = sheet[2 * LABEL_HEIGHT + CELL + GAP :][:CELL, :CELL].astype(int)
    green = picture[..., 1] - picture[..., 0]
    red = picture[..., 0] - picture[..., 1]
    assert np.unravel_index(green.argmax(), green.shape) in [(r, c) for r in (31, 32) for c in (31, 32)]
    assert np.unravel_index(red.argmax(), red.shape) in [(r, c) for r in (63, 64) for c in (95, 96)]


def test_a_position_maps_points_lie_on_the_crop_where_the_map_says() -> None:
    batch = subject(0, 1, 30)
    batch["position_map"] = np.full((1, 256, 256, 3), (0.75, 0.25, 0.5), np.float16)
    sheet = contact_sheet([batch])
    last = sheet[-(CELL + GAP) : -GAP, :CELL].astype(int)
    marked = np.argwhere(np.abs(last - 10).max(-1) > 20)
    np.testing.assert_allclose(marked.mean(0), (CELL * 0.25, CELL * 0.75), atol=1.5)


def test_png_is_the_sheet() -> None:
    sheet = contact_sheet([subject(0, 2, 77)])
    decoded = cv2.imdecode(np.frombuffer(png(sheet), np.uint8), cv2.IMREAD_COLOR_RGB)
    np.testing.assert_array_equal(decoded, sheet)
