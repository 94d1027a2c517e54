import numpy as np
import pytest

from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.networks.face_detectors import DETECTORS, Detector, build_detector, scale_for_detection
from facerecon_ray.networks.mmod import Detections


@pytest.fixture(scope="module")
def detectors() -> dict[str, Detector]:
    names = ("cascade", "mmod", "dlib-mmod", "dlib-hog")
    return {name: build_detector(CropSettings.model_validate({"detector": name, "device": "cpu"})) for name in names}


def _overlaps(a: Detections, b: Detections) -> list[float]:
    shared = (np.minimum(a.boxes[:, 2:], b.boxes[:, 2:]) - np.maximum(a.boxes[:, :2], b.boxes[:, :2])).clip(0).prod(1)
    areas = [(faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(1) for faces in (a, b)]
    return (shared / (areas[0] + areas[1] - shared)).tolist()


def test_every_detector_of_the_settings_can_be_built(detectors: dict[str, Detector]) -> None:
    assert set(DETECTORS) == set(detectors)


def test_mmod_in_torch_is_mmod_in_dlib(detectors: dict[str, Detector], pair: np.ndarray) -> None:
    ours, theirs = (detectors[name].detect([pair])[0] for name in ("mmod", "dlib-mmod"))
    assert len(ours.scores) == 2
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-3)
    assert min(_overlaps(ours, theirs)) > 0.95


def test_hog_box_is_the_adjusted_mmod_box(detectors: dict[str, Detector], astronaut: np.ndarray) -> None:
    mmod, hog = (detectors[name].detect([astronaut])[0] for name in ("mmod", "dlib-hog"))
    assert len(hog.scores) == 1
    assert _overlaps(mmod, hog)[0] > 0.6


def test_photos_of_different_sizes_share_a_call(
    detectors: dict[str, Detector], astronaut: np.ndarray, pair: np.ndarray, page: np.ndarray
) -> None:
    photos = [pair, astronaut, page, astronaut[:, ::-1]]
    together = detectors["mmod"].detect(photos)
    assert [len(faces.boxes) for faces in together] == [2, 1, 0, 1]
    for photo, faces in zip(photos, together, strict=True):
        alone = detectors["mmod"].detect([photo])[0]
        assert np.array_equal(alone.boxes, faces.boxes) and np.array_equal(alone.scores, faces.scores)


def test_boxes_are_in_pixels_of_the_photo_as_it_came(detectors: dict[str, Detector], astronaut: np.ndarray) -> None:
    large = astronaut.repeat(3, 0).repeat(3, 1)
    expected, found = (detectors["mmod"].detect([photo])[0] for photo in (astronaut, large))
    assert _overlaps(Detections(expected.boxes * 3, expected.scores, expected.rolls), found)[0] > 0.8


@pytest.mark.parametrize("name", ["cascade", "mmod", "dlib-mmod", "dlib-hog"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (3, 3), (40, 2)])
def test_tiny_photo_has_no_face(detectors: dict[str, Detector], name: str, height: int, width: int) -> None:
    found = detectors[name].detect([np.full((height, width, 3), 90, np.uint8)])[0]
    assert found.boxes.shape == (0, 4) and found.scores.shape == (0,)


@pytest.mark.parametrize("name", ["cascade", "mmod", "dlib-mmod", "dlib-hog"])
def test_min_score_drops_faces(name: str, astronaut: np.ndarray) -> None:
    strict = CropSettings.model_validate({"detector": name, "device": "cpu", "min_score": 50.0})
    assert len(build_detector(strict).detect([astronaut])[0].scores) == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (480, 640)), ((1000, 2000), (320, 640)), ((500, 375), (640, 480)), ((100, 120), (200, 240))],
)
def test_detection_side_is_reached_but_never_by_more_than_doubling(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert scale_for_detection(np.zeros((*size, 3), np.uint8), 640).shape == (*expected, 3)
