import cv2
import numpy as np
import pytest
import torch

from facerecon_ray.config.assets import DETECTOR_WEIGHTS
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.geometry.crop_transform import apply_transform
from facerecon_ray.networks import face_cascade
from facerecon_ray.networks.face_cascade import FaceCascade
from facerecon_ray.networks.face_detectors import Cascade, build_detector, side_to_decode, smallest_face_in
from facerecon_ray.networks.face_proposer import load_weights
from facerecon_ray.networks.face_windows import cut_windows
from facerecon_ray.networks.mmod import Detections, MmodDetector

SIZES = ((80, 64), (21, 33), (10, 7))


@pytest.fixture(scope="module")
def cascade() -> Cascade:
    return Cascade(CropSettings(device="cpu"))


def middles(found: Detections) -> np.ndarray:
    return (found.boxes[:, :2] + found.boxes[:, 2:]) / 2


def sides(found: Detections) -> np.ndarray:
    return found.boxes[:, 2] - found.boxes[:, 0]


def turned(photo: np.ndarray, roll: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo turned clockwise on a canvas that holds it, and the way (2, 3) of its points."""
    angle = np.deg2rad(roll)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size = np.array(photo.shape[1::-1])
    canvas = np.ceil(np.abs(linear) @ size - 1e-6).astype(int)
    way = np.column_stack([linear, canvas / 2 - linear @ (size / 2)])
    matrix = way.copy()
    matrix[:, 2] += linear.sum(1) / 2 - 0.5
    return cv2.warpAffine(photo, matrix, canvas.tolist(), borderMode=cv2.BORDER_REPLICATE), way


def on_wall(photo: np.ndarray, zoom: float, side: int = 600) -> np.ndarray:
    """A photo shrunk, in the middle of a plain wall."""
    small = cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    wall = np.full((side, side, 3), 140, np.uint8)
    top, left = (side - small.shape[0]) // 2, (side - small.shape[1]) // 2
    wall[top : top + small.shape[0], left : left + small.shape[1]] = small
    return wall


def test_finds_the_faces_that_mmod_finds(cascade: Cascade, astronaut: np.ndarray, pair: np.ndarray) -> None:
    mmod = build_detector(CropSettings(detector="mmod", device="cpu"))
    for photo, count in ((astronaut, 1), (pair, 2)):
        ours, theirs = (detector.detect([photo])[0] for detector in (cascade, mmod))
        assert len(ours.scores) == len(theirs.scores) == count
        for middle, side in zip(middles(theirs), sides(theirs), strict=True):
            apart = np.linalg.norm(middles(ours) - middle, axis=1)
            assert apart.min() < 0.2 * side
            assert sides(ours)[apart.argmin()] == pytest.approx(side, rel=0.35)
        assert np.abs(ours.rolls).max() < 25


@pytest.mark.parametrize("roll", [90.0, 180.0, 270.0, 45.0, -130.0])
def test_turned_photo_has_the_same_face_turned(cascade: Cascade, astronaut: np.ndarray, roll: float) -> None:
    photo, way = turned(astronaut, roll)
    upright, found = cascade.detect([astronaut, photo])
    assert len(found.scores) == 1
    expected = apply_transform(way, middles(upright))
    assert np.linalg.norm(middles(found) - expected) < 0.25 * sides(upright)[0]
    off = (found.rolls[0] - roll + 180) % 360 - 180
    assert abs(off) < 60  # the fitter, which sees faces within 60 degrees of upright, tells the rest


def test_small_face_is_found_and_mmod_misses_it(cascade: Cascade, astronaut: np.ndarray) -> None:
    photo = on_wall(astronaut, 0.3)
    side = 0.3 * sides(cascade.detect([astronaut])[0])[0]
    assert 24 < side < 40
    found = cascade.detect([photo])[0]
    assert sides(found) == pytest.approx([side], rel=0.25)
    assert len(build_detector(CropSettings(detector="mmod", device="cpu")).detect([photo])[0].scores) == 0


def test_smaller_faces_than_wanted_are_left_out(astronaut: np.ndarray) -> None:
    photo = on_wall(astronaut, 0.3)
    wanted = build_detector(CropSettings(detector="cascade", device="cpu", smallest_face=24.0))
    large = build_detector(CropSettings(detector="cascade", device="cpu", smallest_face=200.0))
    assert len(wanted.detect([photo])[0].scores) == 1
    decoded = round(side_to_decode(600, CropSettings(smallest_face=200.0)))
    assert len(large.detect([cv2.resize(photo, (decoded, decoded))])[0].scores) == 0


def test_proposals_in_a_found_face_are_not_looked_at(
    cascade: Cascade, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []

    def counted(photo: np.ndarray, centres: np.ndarray, sizes: np.ndarray, rolls: np.ndarray) -> np.ndarray:
        counts.append(len(centres))
        return cut_windows(photo, centres, sizes, rolls)

    monkeypatch.setattr(face_cascade, "cut_windows", counted)
    photo = on_wall(astronaut[:220, 130:320], 1.0)
    proposed = len(cascade._cascade._proposals(photo, 24.0).scores)
    assert len(cascade.detect([photo])[0].scores) == 1
    assert counts[:2] == [counts[0], 0] and 1 <= counts[0] < proposed


def test_copies_that_are_seen_together_are_seen_as_by_themselves() -> None:
    torch.manual_seed(0)
    proposer = load_weights(DETECTOR_WEIGHTS)
    cascade = FaceCascade(proposer, MmodDetector(), torch.device("cpu"))
    pictures = [np.random.default_rng(n).integers(0, 255, (*size, 3), np.uint8) for n, size in enumerate(SIZES)]
    together = cascade._maps(pictures)
    for picture, maps in zip(pictures, together, strict=True):
        (alone,) = cascade._maps([picture])
        height, width = -(-picture.shape[0] // 4), -(-picture.shape[1] // 4)
        assert maps.shape == (6, height, width)
        # What lies beside a picture changes a little of its border.
        apart = (maps - alone[:, :height, :width]).float().abs()
        assert apart[0].mean() < 0.5


def test_page_without_faces_has_none(cascade: Cascade, page: np.ndarray) -> None:
    assert len(cascade.detect([page])[0].scores) == 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (3, 3), (40, 2)])
def test_tiny_photo_has_no_face(cascade: Cascade, height: int, width: int) -> None:
    found = cascade.detect([np.full((height, width, 3), 90, np.uint8)])[0]
    assert found.boxes.shape == (0, 4) and found.scores.shape == found.rolls.shape == (0,)


@pytest.mark.parametrize(
    ("wanted", "longest", "decoded", "smallest"),
    [
        (None, 640, 640, 24),  # every pixel
        (None, 4000, 3200, 32),  # a hundredth of the side is 40 pixels, of which 32 are enough
        (None, 8660, 3200, 32),
        (16.0, 640, 640, 16),
        (320.0, 8000, 800, 32),
        (24.0, 8000, 8000, 24),
    ],
)
def test_photo_is_decoded_as_large_as_the_smallest_wanted_face_asks(
    wanted: float | None, longest: int, decoded: int, smallest: float
) -> None:
    settings = CropSettings(smallest_face=wanted)
    assert side_to_decode(longest, settings) == pytest.approx(decoded)
    assert smallest_face_in(decoded, settings) == pytest.approx(smallest)
