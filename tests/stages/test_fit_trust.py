"""Fits that are no face's fail with a reason, faces pass, and quality orders what can be trusted."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch

from facerecon_ray.config.reconstruct import CropSettings, FitSettings
from facerecon_ray.geometry.crop_transform import crop_transform, cut_crop
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.networks.mmod import Detections
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.stages.fit_trust import MOST_ERROR, expected_error, quality, trust
from facerecon_ray.stages.stage import FAILED, OK, Batch
from facerecon_ray.synthesis.rendering.background_scenes import make_background

BUNDLED = Path(__file__).parents[2] / "facerecon_ray" / "assets" / "photos"


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(CropSettings(device="cpu"))


@pytest.fixture(scope="module")
def fit() -> Fitter:
    return Fitter(FitSettings(device="cpu"))


def cropped(finder: FaceFinder, photo: np.ndarray, found: Detections) -> Batch:
    """What the crop stage makes of boxes in a photo."""
    landmarks, rolls = finder.landmarks(photo, found.boxes, found.rolls)
    transforms = crop_transform(landmarks, rolls)
    count = len(transforms)
    return {
        "status": np.full(count, OK, object),
        "error": np.full(count, "", object),
        "crop": np.stack([cut_crop(photo, transform) for transform in transforms]),
        "crop_transform": transforms,
        "landmarks": landmarks,
        "photo_width": np.full(count, photo.shape[1]),
        "photo_height": np.full(count, photo.shape[0]),
        "focal_length": np.zeros(count, np.float32),
    }


def squares(photo: np.ndarray, count: int, seed: int) -> Detections:
    """Boxes anywhere in a photo."""
    rng = np.random.default_rng(seed)
    side = rng.uniform(0.1, 0.5, (count, 1)) * min(photo.shape[:2])
    corner = rng.uniform(0, 1, (count, 2)) * (np.array(photo.shape[1::-1]) - side)
    return Detections.upright(np.concatenate([corner, corner + side], 1), np.ones(count))


def together(batches: list[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_where_there_is_no_face_the_fit_is_refused_with_a_reason(
    finder: FaceFinder, fit: Fitter, page: np.ndarray
) -> None:
    scenes = [page, skimage.data.coffee(), make_background(400, np.random.default_rng(5))]
    rows = fit(together([cropped(finder, scene, squares(scene, 5, seed)) for seed, scene in enumerate(scenes)]))
    assert rows["status"].tolist() == [FAILED] * 15
    assert all(error.startswith("no face can be fitted here: ") for error in rows["error"])
    assert not rows["quality"].any() and not rows["camera"].any()
    assert (rows["landmarks"] != 0).any((1, 2)).all() and rows["crop"].any((1, 2, 3)).all()


def test_an_upside_down_face_is_refused_and_does_not_fail_the_faces_beside_it(
    finder: FaceFinder, fit: Fitter, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    batches = []
    for photo, turned in ((astronaut, False), (astronaut, True), (hopper, False)):
        found = finder.detect([photo])[0]
        if turned:
            photo, width, height = np.ascontiguousarray(photo[::-1, ::-1]), photo.shape[1], photo.shape[0]
            boxes = np.array([width, height, width, height], np.float32) - found.boxes[:, [2, 3, 0, 1]]
            found = Detections.upright(boxes, found.scores)
        batches.append(cropped(finder, photo, found))
    rows = fit(together(batches))
    assert rows["status"].tolist() == [OK, FAILED, OK]
    assert rows["error"][[0, 2]].tolist() == ["", ""]
    assert rows["camera"][[0, 2]].any(1).all()


def test_the_bundled_faces_are_fitted_and_their_quality_is_high(finder: FaceFinder, fit: Fitter) -> None:
    photos = [cv2.imread(str(path))[..., ::-1].copy() for path in sorted(BUNDLED.glob("*.jpg"))]
    found = finder.detect(photos)
    rows = fit(together([cropped(finder, *pair) for pair in zip(photos, found, strict=True)]))
    assert len(rows["status"]) >= 6
    assert rows["error"].tolist() == [""] * len(rows["error"])
    assert rows["quality"].min() > 0.55


def test_a_sharp_face_is_of_better_quality_than_a_blurred_or_a_tiny_one(
    finder: FaceFinder, fit: Fitter, astronaut: np.ndarray
) -> None:
    found = finder.detect([astronaut])[0]
    face = float(np.ptp(found.boxes[0, ::2]))
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 0.05 * face)
    side = round(512 * 14 / face)
    tiny = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA)
    small = Detections(found.boxes * side / 512, found.scores, found.rolls)
    batches = [cropped(finder, *pair) for pair in ((astronaut, found), (blurred, found), (tiny, small))]
    sharp, *spoilt = fit(together(batches))["quality"].tolist()
    assert sharp > max(spoilt) + 0.05


def test_quality_says_which_error_is_expected_and_refusal_begins_at_one() -> None:
    np.testing.assert_allclose(quality(np.array([0.0, 0.02, 0.05, 0.1, 0.4])), [1.0, 0.8, 0.5, 0.0, 0.0], atol=1e-6)
    weights = {"noise": 2.0, "constant": np.log(0.03)}
    np.testing.assert_allclose(expected_error({"noise": np.array([1.0, 2.0])}, weights), [0.03, 0.12])
    assert 0.05 < MOST_ERROR < 0.1


@pytest.mark.parametrize(("yaw", "roll", "words"), [(0, 0, ""), (140, 0, "turned away"), (0, 150, "on its side")])
def test_landmarks_that_fit_a_face_in_an_impossible_pose_are_refused(yaw: float, roll: float, words: str) -> None:
    model = FaceModel.default()
    camera = Camera(torch.tensor([[yaw, 0.0, roll]]), torch.tensor([900.0]), torch.tensor([[128.0, 128.0]]))
    marks = projected_landmarks(model, model.mean[None], camera)
    fit = Fit(camera, torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([0.01]), torch.tensor([0.5]), marks, marks)
    batch = {"crop_transform": np.array([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]]), "landmarks": np.zeros((1, 68, 2))}
    (reason,) = trust(fit, batch).reasons
    assert words in reason and bool(words) == bool(reason)
