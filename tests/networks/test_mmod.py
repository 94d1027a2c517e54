from pathlib import Path

import cv2
import dlib
import matplotlib
import numpy as np
import pytest
import skimage.data
import torch

from facerecon_ray.errors import AssetError
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.mmod import Detections, MmodDetector, lay_out_pyramid

MODEL = "mmod_human_face_detector.dat"


@pytest.fixture(scope="module")
def detector() -> MmodDetector:
    return MmodDetector.from_dlib(installed_model(MODEL))


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    astronaut = skimage.data.astronaut()
    hopper = cv2.imread(str(Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")))[..., ::-1]
    hopper = np.ascontiguousarray(hopper[: astronaut.shape[0], : astronaut.shape[1]])
    pair = np.hstack([astronaut[:, 60:380], hopper[:, 100:420]])
    return {
        "astronaut": astronaut,
        "hopper": hopper,
        "pair": pair,
        "empty": skimage.data.page()[..., None].repeat(3, 2),
    }


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    shared = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def _same(a: Detections, b: Detections) -> bool:
    return np.allclose(a.boxes, b.boxes, atol=1e-3) and np.allclose(a.scores, b.scores, atol=1e-4)


def test_finds_the_faces_that_dlib_finds_with_its_scores(
    detector: MmodDetector, photos: dict[str, np.ndarray]
) -> None:
    reference = dlib.cnn_face_detection_model_v1(str(installed_model(MODEL)))
    counts = {}
    for name, photo in photos.items():
        expected = sorted(reference(photo, 0), key=lambda face: -face.confidence)
        found = detector.detect(photo[None])[0]
        counts[name] = len(found.boxes)
        assert found.scores == pytest.approx([face.confidence for face in expected], abs=1e-3)
        for box, face in zip(found.boxes, expected, strict=True):
            r = face.rect
            assert _overlap(box, np.array([r.left(), r.top(), r.right() + 1, r.bottom() + 1])) > 0.95
    assert counts == {"astronaut": 1, "hopper": 1, "pair": 2, "empty": 0}


def test_batch_finds_what_single_photos_give(detector: MmodDetector, photos: dict[str, np.ndarray]) -> None:
    batch = np.stack([photos["astronaut"], photos["hopper"]])
    for together, photo in zip(detector.detect(batch), batch, strict=True):
        assert _same(together, detector.detect(photo[None])[0])


def test_threshold_only_cuts_the_list_of_faces(detector: MmodDetector, photos: dict[str, np.ndarray]) -> None:
    loose, usual, strict = (detector.detect(photos["pair"][None], score)[0] for score in (-1.5, 0.0, 1.06))
    assert len(loose.scores) > len(usual.scores) > len(strict.scores) == 1
    assert np.all(np.diff(loose.scores) <= 0)
    assert np.array_equal(loose.boxes[: len(usual.boxes)], usual.boxes)
    assert np.array_equal(usual.boxes[: len(strict.boxes)], strict.boxes)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (640, 427), (33, 640), (640, 30), (7, 7)])
def test_pyramid_levels_lie_in_the_tile_without_touching(height: int, width: int) -> None:
    tile = lay_out_pyramid(height, width)
    used = np.zeros((tile.height, tile.width), int)
    for top, left, h, w in tile.levels:
        assert top >= 0 and left >= 0
        used[top : top + h, left : left + w] += 1
    assert used.max() == 1
    assert used.sum() == (tile.levels[:, 2] * tile.levels[:, 3]).sum()
    assert tuple(tile.levels[0, 2:]) == (height, width)


@pytest.mark.parametrize(("height", "width"), [(1, 640), (640, 1), (6, 6), (7, 7), (9, 640)])
def test_photo_too_small_for_a_face_has_none(detector: MmodDetector, height: int, width: int) -> None:
    found = detector.detect(np.full((2, height, width, 3), 128, np.uint8))
    assert [len(faces.boxes) for faces in found] == [0, 0]
    assert found[0].boxes.shape == (0, 4)


def test_network_is_not_trained_by_accident(detector: MmodDetector) -> None:
    assert not any(parameter.requires_grad for parameter in detector.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in detector.parameters())


@pytest.mark.parametrize("content", [b"", b"not a model", b"con_4\x01\x02\x01\x01"])
def test_file_that_is_not_the_detector_is_an_asset_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "detector.dat"
    path.write_bytes(content)
    with pytest.raises(AssetError, match=r"detector\.dat: this is not dlib's mmod_human_face_detector\.dat"):
        MmodDetector.from_dlib(path)


def test_cut_off_file_is_an_asset_error(tmp_path: Path) -> None:
    path = tmp_path / "detector.dat"
    path.write_bytes(installed_model(MODEL).read_bytes()[:400_000])
    with pytest.raises(AssetError):
        MmodDetector.from_dlib(path)


def test_missing_file_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="No such file"):
        MmodDetector.from_dlib(tmp_path / "none.dat")


def test_model_that_is_not_installed_is_named() -> None:
    with pytest.raises(AssetError, match=r"no_such_model\.dat is missing: install"):
        installed_model("no_such_model.dat")
