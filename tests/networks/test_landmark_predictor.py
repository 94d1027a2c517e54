from pathlib import Path

import cv2
import numpy as np
import pytest

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_detectors import build_detector
from facerecon_ray.networks.landmark_predictor import LandmarkPredictor, adjust_boxes

FACE_BOX = np.array([168.0, 62.0, 280.0, 174.0])


@pytest.fixture(scope="module")
def predictor() -> LandmarkPredictor:
    return LandmarkPredictor()


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance over the size of the landmark box."""
    return float(np.linalg.norm(a - b, axis=-1).mean() / np.ptp(b, axis=0).max())


def test_landmarks_lie_on_the_eyes_nose_and_mouth(predictor: LandmarkPredictor, astronaut: np.ndarray) -> None:
    points = predictor.predict(astronaut, FACE_BOX)
    assert points.shape == (68, 2) and points.dtype == np.float64
    eye, other_eye, nose, mouth = (
        points[first:end].mean(0) for first, end in ((36, 42), (42, 48), (30, 31), (48, 60))
    )
    assert eye == pytest.approx([203.9, 100.8], abs=3)
    assert other_eye == pytest.approx([247.5, 103.2], abs=3)
    assert nose == pytest.approx([225, 126.3], abs=3)
    assert mouth == pytest.approx([223.8, 146.2], abs=3)


@pytest.mark.parametrize("seed", range(6))
def test_poorly_placed_box_gives_the_same_landmarks(
    predictor: LandmarkPredictor, astronaut: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shift_and_growth = (*rng.uniform(-0.08, 0.08, 2), rng.uniform(0.88, 1.12))
    reference = predictor.predict(astronaut, FACE_BOX)
    moved = predictor.predict(astronaut, adjust_boxes(FACE_BOX, shift_and_growth))
    assert _distance(moved, reference) < 0.02


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_landmarks_follow_the_size_of_the_photo(
    predictor: LandmarkPredictor, astronaut: np.ndarray, factor: float
) -> None:
    scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    points = predictor.predict(scaled, FACE_BOX * factor) / factor
    assert _distance(points, predictor.predict(astronaut, FACE_BOX)) < 0.015


def test_mirrored_photo_has_mirrored_landmarks(predictor: LandmarkPredictor, astronaut: np.ndarray) -> None:
    width = astronaut.shape[1]
    box = np.array([width - FACE_BOX[2], FACE_BOX[1], width - FACE_BOX[0], FACE_BOX[3]])
    mirrored = predictor.predict(np.ascontiguousarray(astronaut[:, ::-1]), box)
    expected = predictor.predict(astronaut, FACE_BOX) * (-1, 1) + (width, 0)
    jaw, nose = slice(0, 17), slice(27, 31)
    assert _distance(mirrored[jaw][::-1], expected[jaw]) < 0.03
    assert _distance(mirrored[nose], expected[nose]) < 0.1


@pytest.mark.parametrize("name", ["mmod", "dlib-hog"])
def test_boxes_of_every_detector_lead_to_the_same_landmarks(
    predictor: LandmarkPredictor, hopper: np.ndarray, name: str
) -> None:
    hog = build_detector(CropSettings(detector="dlib-hog"))
    expected = predictor.predict(hopper, hog.detect([hopper])[0].boxes[0])
    detector = build_detector(CropSettings.model_validate({"detector": name, "device": "cpu"}))
    box = adjust_boxes(detector.detect([hopper])[0].boxes[0], detector.box_adjustment)
    assert _distance(predictor.predict(hopper, box), expected) < 0.015


@pytest.mark.parametrize("box", [(-60, -50, 60, 70), (470, 480, 600, 610), (-50, 100, 700, 850)])
def test_box_beyond_the_photo_still_gives_68_points(
    predictor: LandmarkPredictor, astronaut: np.ndarray, box: tuple[int, ...]
) -> None:
    points = predictor.predict(astronaut, np.array(box, np.float32))
    assert points.shape == (68, 2) and np.isfinite(points).all()


def test_adjusted_box_shifts_and_grows_by_parts_of_its_size() -> None:
    box = np.array([[10.0, 20.0, 30.0, 60.0]])
    assert adjust_boxes(box, (0.5, 0.25, 2.0)).tolist() == [[10.0, 10.0, 50.0, 90.0]]
    assert adjust_boxes(box, (0.0, 0.0, 1.0)).tolist() == box.tolist()


def test_missing_model_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"none\.dat: there is no such file"):
        LandmarkPredictor(tmp_path / "none.dat")


@pytest.mark.parametrize("content", [b"", b"no predictor"])
def test_other_file_is_an_asset_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.dat").write_bytes(content)
    with pytest.raises(AssetError, match="not a dlib shape predictor"):
        LandmarkPredictor(tmp_path / "model.dat")


def test_predictor_with_other_points_is_an_asset_error() -> None:
    with pytest.raises(AssetError, match="it has 5 points, 68 are needed"):
        LandmarkPredictor(installed_model("shape_predictor_5_face_landmarks.dat"))
