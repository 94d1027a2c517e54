import cv2
import numpy as np
import pytest
import torch

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.geometry.crop_transform import apply_transform
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_detectors import MMOD_MODEL, build_detector
from facerecon_ray.networks.face_windows import WINDOW_SIDE, cut_windows, score_windows
from facerecon_ray.networks.mmod import WINDOW, MmodDetector

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def judge() -> MmodDetector:
    return MmodDetector.from_dlib(installed_model(MMOD_MODEL))


def place_of(astronaut: np.ndarray) -> tuple[np.ndarray, float, float]:
    found = build_detector(CropSettings(detector="mmod", device="cpu")).detect([astronaut])[0]
    box = found.boxes[0]
    return (box[:2] + box[2:]) / 2, float(box[2] - box[0]), float(found.scores[0])


def window(photo: np.ndarray, centre: np.ndarray, size: float, roll: float = 0.0) -> np.ndarray:
    return cut_windows(photo, np.array([centre]), np.array([size]), np.array([roll]))


def turned(photo: np.ndarray, roll: float, zoom: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo turned clockwise about its middle and enlarged, and the way (2, 3) of its points."""
    middle = np.array(photo.shape[1::-1]) / 2
    linear = zoom * cv2.getRotationMatrix2D((0, 0), -roll, 1.0)[:, :2]
    way = np.column_stack([linear, zoom * middle - linear @ middle])
    matrix = way.copy()
    matrix[:, 2] += linear.sum(1) / 2 - 0.5
    return cv2.warpAffine(photo, matrix, tuple((zoom * 2 * middle).astype(int).tolist())), way


def test_window_has_the_score_of_the_whole_photo(judge: MmodDetector, astronaut: np.ndarray) -> None:
    centre, size, score = place_of(astronaut)
    scores, moves = score_windows(judge, window(astronaut, centre, size), CPU)
    assert scores[0] == pytest.approx(score, abs=0.1)
    assert np.abs(moves[0]).max() < 0.1


@pytest.mark.parametrize(("roll", "zoom"), [(0.0, 3.0), (90.0, 1.0), (180.0, 0.4), (-60.0, 2.0)])
def test_face_of_any_roll_and_size_fills_its_window_alike(
    judge: MmodDetector, astronaut: np.ndarray, roll: float, zoom: float
) -> None:
    centre, size, score = place_of(astronaut)
    photo, way = turned(astronaut, roll, zoom)
    there = apply_transform(way, centre[None])[0]
    found = window(photo, there, zoom * size, roll)
    assert score_windows(judge, found, CPU)[0][0] == pytest.approx(score, abs=0.15)
    expected = window(astronaut, centre, size)[0].astype(float)
    inside = np.s_[20:-20, 20:-20]
    assert np.abs(found[0].astype(float) - expected)[inside].mean() < 9.0


def test_face_beside_the_middle_is_moved_there(judge: MmodDetector, astronaut: np.ndarray) -> None:
    centre, size, _ = place_of(astronaut)
    _, moves = score_windows(judge, window(astronaut, centre - (0.2 * size, -0.1 * size), size), CPU)
    assert moves[0] == pytest.approx([0.2, -0.1], abs=0.11)


def test_windows_may_lie_beyond_the_photo() -> None:
    photo = np.full((40, 60, 3), 200, np.uint8)
    centres = np.array([[-500.0, 20.0], [60.0, 40.0], [30.0, 20.0]])
    windows = cut_windows(photo, centres, np.array([20.0, 30.0, 400.0]), np.array([0.0, 45.0, 10.0]))
    assert windows.shape == (3, WINDOW_SIDE, WINDOW_SIDE, 3)
    assert len(np.unique(windows[0].reshape(-1, 3), axis=0)) == 1
    assert (windows[1] == 200).any() and (windows[1] != 200).any()
    covered = (windows[2][..., 2] == 200).sum()
    assert covered == pytest.approx(40 * 60 * (WINDOW / 400) ** 2, rel=0.2)


def test_no_windows_have_no_scores(judge: MmodDetector) -> None:
    scores, moves = score_windows(judge, np.zeros((0, WINDOW_SIDE, WINDOW_SIDE, 3), np.uint8), CPU)
    assert scores.shape == (0,) and moves.shape == (0, 2)
