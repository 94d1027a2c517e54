import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from noise_crops import PHOTO_OFFSET, PHOTO_SCALE, noise_crops

from facerecon_ray.config.reconstruct import FitSettings, RotateSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.stages.rotate import Rotator
from facerecon_ray.stages.second_view import camera_of
from facerecon_ray.stages.stage import FAILED, OK, Batch

UNTURNED = RotateSettings(yaw_change=0.0, keep_pitch=True)


@pytest.fixture(scope="module")
def fitted() -> Batch:
    """Crops of noise and their fits, at yaw 0, 20 and -50."""
    return Fitter(FitSettings(method="landmarks"))(noise_crops([0.0, 20.0, -50.0]))


def first(batch: Batch) -> Batch:
    return {name: values[:1] for name, values in batch.items()}


def test_a_face_is_turned_by_so_much_and_says_what_of_it_was_seen(fitted: Batch) -> None:
    rows = Rotator(RotateSettings())(fitted)
    assert rows["status"].tolist() == [OK] * 3
    np.testing.assert_allclose(np.abs(rows["rotated_yaw"]), [30, 50, 20], atol=0.6)
    assert rows["rotated"].shape == (3, 256, 256, 3)
    assert rows["rotated"].dtype == np.uint8
    assert (rows["visible_share"] > 0.3).all()
    assert (rows["visible_share"] <= 1).all()


def test_the_second_camera_sees_the_head_where_the_second_view_shows_it(fitted: Batch) -> None:
    rows = Rotator(RotateSettings(), masks=True)(fitted)
    assert rows["rotated_camera"][:, 0] == pytest.approx(rows["rotated_yaw"])
    model = FaceModel.default()
    heads = model.vertices(torch.from_numpy(rows["shape"]), torch.from_numpy(rows["expression"]))
    points = camera_of(torch.from_numpy(rows["rotated_camera"])).project(heads)[..., :2]
    for head, mask in zip(points.numpy(), rows["rotated_head"] > 0, strict=True):
        low, high = np.argwhere(mask)[:, ::-1].min(0), np.argwhere(mask)[:, ::-1].max(0) + 1
        inside = (head > 0).all(1) & (head < 256).all(1)
        np.testing.assert_allclose(head[inside].min(0), low, atol=2)
        np.testing.assert_allclose(head[inside].max(0), high, atol=2)


def test_a_face_is_turned_the_same_alone_and_in_a_batch(fitted: Batch) -> None:
    rotate = Rotator(RotateSettings())
    together = rotate(fitted)
    alone = rotate({name: values[1:2] for name, values in fitted.items()})
    difference = together["rotated"][1].astype(int) - alone["rotated"][0]
    assert np.abs(difference).mean() < 0.5


def test_amount_is_a_setting_and_nothing_turned_gives_the_crop_back(fitted: Batch) -> None:
    rows = Rotator(UNTURNED)(fitted)
    middle = np.s_[:2, 110:150, 110:150]
    assert np.abs(rows["rotated"][middle].astype(int) - fitted["crop"][middle]).mean() < 12


def test_a_face_without_a_fit_has_no_second_view(fitted: Batch) -> None:
    refused = {**fitted, "status": np.array([FAILED, OK, OK], object), "error": np.array(["why", "", ""], object)}
    rows = Rotator(RotateSettings())(refused)
    assert rows["error"].tolist() == ["why", "", ""]
    assert rows["rotated"].any((1, 2, 3)).tolist() == [False, True, True]


def test_missing_files_are_asset_errors(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        Rotator(RotateSettings(), tmp_path / "none.npz")
    with pytest.raises(AssetError, match=r"none\.safetensors"):
        Rotator(RotateSettings(repair="network", weights=tmp_path / "none.safetensors"))


def test_what_lies_beyond_the_photo_was_not_seen(fitted: Batch) -> None:
    colours = np.zeros((1, 256, 256, 3), np.uint8)
    colours[:, :, :128], colours[:, :, 128:] = (200, 120, 90), (0, 0, 255)
    rotate, batch = Rotator(UNTURNED), first(fitted)
    whole = rotate({**batch, "crop": colours})
    # The photo ends in the middle of the crop: half of the face is its repeated border.
    width = np.array([(128 - PHOTO_OFFSET[0]) / PHOTO_SCALE])
    cut = rotate({**batch, "photo_width": width, "crop": colours})
    beyond = np.s_[0, 120:150, 140:160]
    assert np.abs(whole["rotated"][beyond].astype(int) - (0, 0, 255)).mean() < 8
    assert np.abs(cut["rotated"][beyond].astype(int) - (200, 120, 90)).mean() < 8
    assert cut["visible_share"][0] < 0.6 * whole["visible_share"][0]
