from pathlib import Path

import numpy as np
import pytest
from photo_pairs import pairs

from facerecon_ray.config.reconstruct import FitSettings, ReconstructSettings
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.stages.reconstruct import Reconstructor
from facerecon_ray.stages.stage import FAILED, OK, Batch, select
from facerecon_ray.stages.two_photos.crop import TwoPhotoCropper
from facerecon_ray.stages.two_photos.fit import TwoPhotoFitter, _of_two_persons

ALONE = ("crop", "crop_transform", "photo_width", "photo_height", "focal_length", "landmarks", "status", "error")


@pytest.fixture(scope="module")
def cropped(cropper: TwoPhotoCropper, astronaut: np.ndarray) -> Batch:
    """A photo and its mirror image, and the same with a side that shows no face any more."""
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    batch = cropper(pairs((astronaut, mirrored), (astronaut, mirrored)))
    batch["side_crop"][1] = np.random.default_rng(0).integers(0, 255, (256, 256, 3))
    return batch


@pytest.mark.parametrize("fit", ["network", "landmarks"])
def test_both_photos_keep_their_pose_and_share_a_shape(cropped: Batch, fit: str) -> None:
    settings = FitSettings(method=fit, device="cpu")
    stage = TwoPhotoFitter(settings)
    rows = stage(select(cropped, np.array([0])))
    assert rows["status"].tolist() == [OK]
    for name, column in stage.outputs.items():
        assert rows[name].dtype == column.dtype and rows[name].shape == (1, *column.shape), name
    alone = Fitter(settings)(select({name: cropped[name] for name in ALONE}, np.array([0])))
    mirror = np.array([-1.0, 1.0, -1.0])
    assert np.abs(rows["pose"] - alone["pose"]).max() < 2.5
    assert np.abs(rows["rotated_camera"][:, :2] - (alone["pose"] * mirror)[:, :2]).max() < 3.0
    assert rows["rotated_yaw"][0] == rows["rotated_camera"][0, 0]
    assert np.array_equal(rows["rotated"], cropped["side_crop"][:1]) and "side_crop" not in rows
    assert 0.01 < np.abs(rows["shape"] - alone["shape"]).max() < 2.0
    assert rows["fit_error"][0] < alone["fit_error"][0] + 0.02


def test_a_side_photo_in_which_no_face_can_be_fitted_fails_its_row_alone(cropped: Batch) -> None:
    rows = TwoPhotoFitter(FitSettings(device="cpu"))(cropped)
    assert rows["status"].tolist() == [OK, FAILED]
    assert rows["error"][1].startswith("side photo: no face can be fitted here")


@pytest.mark.parametrize(("yaw", "limit"), [(0.0, 0.7), (60.0, 0.8)])
def test_a_pair_of_two_persons_fails_where_that_is_certain(yaw: float, limit: float) -> None:
    distances = np.array([limit - 0.01, limit + 0.01], np.float32)
    reasons = _of_two_persons(distances, np.array([[5.0, 5.0], [yaw, yaw]]))
    assert reasons[0] == ""
    assert reasons[1] == (
        f"it shows another person than the front photo; their faces are {limit + 0.01:.2f} apart, one person's at "
        f"most {limit:g}"
    )


def test_the_row_of_two_persons_keeps_what_its_photo_shows(cropped: Batch) -> None:
    batch = {**select(cropped, np.array([0])), "side_distance": np.array([0.9], np.float32)}
    rows = TwoPhotoFitter(FitSettings(device="cpu"))(batch)
    assert rows["status"].tolist() == [FAILED] and rows["error"][0].startswith("side photo: it shows another person")
    assert rows["landmarks"].any() and not rows["shape"].any()


def test_every_method_takes_two_photos(cropped: Batch) -> None:
    fitted = TwoPhotoFitter(FitSettings(device="cpu"))(select(cropped, np.array([0])))
    maps = {}
    for method in ("fitted", "two-view", "prnet"):
        rows = Reconstructor(ReconstructSettings(method=method, device="cpu"))(fitted)
        assert rows["status"].tolist() == [OK]
        maps[method] = rows["position_map"].astype(np.float32)
    assert 0 < np.abs(maps["two-view"] - maps["fitted"]).mean() < 0.05


def test_the_network_sees_the_side_photo_by_its_own_camera(cropped: Batch, tmp_path: Path) -> None:
    """The same picture elsewhere in its crop, with its camera, corrects the fit as before; without it, otherwise."""
    fitted = TwoPhotoFitter(FitSettings(device="cpu"))(select(cropped, np.array([0])))
    network = Reconstructor(ReconstructSettings(method="two-view", device="cpu"))
    moved = {**fitted, "rotated": np.roll(fitted["rotated"], 12, axis=2)}
    followed = {**moved, "rotated_camera": moved["rotated_camera"] + np.float32([0, 0, 0, 0, 12, 0, 0, 0, 0])}
    right, wrong, again = (network(batch)["position_map"].astype(np.float32) for batch in (fitted, moved, followed))
    assert np.abs(again - right).mean() < 0.2 * np.abs(wrong - right).mean()


def test_with_people_a_pair_tells_of_the_shape_what_both_photos_do(cropped: Batch) -> None:
    pair = select(cropped, np.array([0]))
    stage = TwoPhotoFitter(FitSettings(device="cpu"), people=True)
    rows = stage(pair)
    assert np.array_equal(rows["shape"], TwoPhotoFitter(FitSettings(device="cpu"))(pair)["shape"])
    alone = Fitter(FitSettings(device="cpu"), people=True)({name: pair[name] for name in ALONE})
    of_pair, of_front = (ShapeEvidence.stored(part["shape"], part["shape_information"]) for part in (rows, alone))
    assert np.allclose(of_pair.shape.numpy(), rows["shape"], atol=1e-5)
    assert of_pair.covariance.diagonal(dim1=1, dim2=2).sum() < of_front.covariance.diagonal(dim1=1, dim2=2).sum()
    assert np.linalg.norm(rows["descriptor"] - alone["descriptor"]) < 0.05
