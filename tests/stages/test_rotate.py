from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings, RotateSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.networks.face_descriptor import SAME_PERSON
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.rotate import Rotator
from facerecon_ray.stages.stage import FAILED, OK, Batch
from facerecon_ray.storage.photos.photo_file import encode_photo

BY_LANDMARKS = RotateSettings(fit="landmarks")
PHOTO_SCALE, PHOTO_OFFSET = 0.5, np.array([-20.0, -10.0])


def _batch(yaws: list[float]) -> Batch:
    """Crops of noise with the landmarks of the mean head; photo pixels are crop pixels times two, moved."""
    model = FaceModel.default()
    count = len(yaws)
    angles = torch.tensor([[yaw, 5.0, 0.0] for yaw in yaws])
    camera = Camera(angles, torch.full((count,), 900.0), torch.full((count, 2), 128.0), torch.full((count,), 1 / 1.2))
    in_crop = projected_landmarks(model, model.mean.expand(count, -1, -1), camera)[..., :2].numpy()
    transform = np.array([[PHOTO_SCALE, 0, PHOTO_OFFSET[0]], [0, PHOTO_SCALE, PHOTO_OFFSET[1]]], np.float32)
    return {
        "status": np.full(count, OK, object),
        "error": np.full(count, "", object),
        "crop": np.random.default_rng(0).integers(0, 256, (count, 256, 256, 3), dtype=np.uint8),
        "crop_transform": np.broadcast_to(transform, (count, 2, 3)),
        "photo_width": np.full(count, 600),
        "photo_height": np.full(count, 600),
        "focal_length": np.zeros(count, np.float32),
        "landmarks": ((in_crop - PHOTO_OFFSET) / PHOTO_SCALE).astype(np.float32),
    }


def test_pose_and_turned_yaw_are_reported() -> None:
    rows = Rotator(BY_LANDMARKS)(_batch([0.0, 20.0, -50.0]))
    assert rows["status"].tolist() == [OK] * 3
    np.testing.assert_allclose(rows["pose"][:, 0], [0, 20, -50], atol=0.5)
    np.testing.assert_allclose(np.abs(rows["rotated_yaw"]), [30, 50, 20], atol=0.6)
    np.testing.assert_allclose(rows["camera"][:, :3], [[900, 128, 128]] * 3, atol=5)
    assert rows["rotated"].shape == (3, 256, 256, 3)
    assert rows["rotated"].dtype == np.uint8
    assert (rows["visible_share"] > 0.3).all()
    assert (rows["visible_share"] <= 1).all()


def test_a_face_is_turned_the_same_alone_and_in_a_batch() -> None:
    rotate, batch = Rotator(BY_LANDMARKS), _batch([0.0, 20.0, -50.0])
    together = rotate(batch)
    alone = rotate({name: values[1:2] for name, values in batch.items()})
    difference = together["rotated"][1].astype(int) - alone["rotated"][0]
    assert np.abs(difference).mean() < 0.5


def test_amount_is_a_setting_and_nothing_turned_gives_the_crop_back() -> None:
    batch = _batch([10.0])
    rows = Rotator(RotateSettings(fit="landmarks", yaw_change=0.0, keep_pitch=True))(batch)
    middle = np.s_[0, 110:150, 110:150]
    assert np.abs(rows["rotated"][middle].astype(int) - batch["crop"][middle]).mean() < 12


def test_the_distance_follows_from_the_focal_length_that_the_photo_states() -> None:
    batch = _batch([0.0, 0.0])
    batch["focal_length"][:] = 900 / PHOTO_SCALE * np.float32([0.5, 2.0])
    rows = Rotator(BY_LANDMARKS)(batch)
    near, far = 1 / rows["camera"][:, 3]
    assert 0.4 < near < 0.7 and 1.4 < far < 2.4
    place = (128 - np.array(PHOTO_OFFSET)) / PHOTO_SCALE - 300
    np.testing.assert_allclose(rows["camera"][:, 4:], place / batch["focal_length"][:, None], atol=1e-4)


def test_landmarks_of_the_manifest_are_nearer_to_the_true_ones_than_those_that_were_found() -> None:
    batch = _batch([-30.0, -10.0, 0.0, 20.0])
    errors = np.linalg.cholesky(FaceModel.default().landmark_noise.numpy()) @ np.random.default_rng(1).normal(
        size=(136, 4)
    )
    size = np.sqrt(np.ptp(batch["landmarks"], axis=1).prod(1))[:, None, None]
    found = batch["landmarks"] + (errors.T.reshape(4, 68, 2) * size).astype(np.float32)
    rows = Rotator(BY_LANDMARKS)({**batch, "landmarks": found})
    assert rows["landmarks"].dtype == np.float32
    off = [np.linalg.norm(marks - batch["landmarks"], axis=-1).mean() for marks in (found, rows["landmarks"])]
    assert off[1] < 0.8 * off[0]


def test_landmarks_that_cannot_be_fitted_fail_their_own_row_only() -> None:
    batch = _batch([0.0, 10.0])
    batch["landmarks"][0] = np.nan
    rows = Rotator(BY_LANDMARKS)(batch)
    assert rows["status"].tolist() == [FAILED, OK]
    assert "rotate" in rows["error"][0]
    assert np.isnan(rows["landmarks"][0]).all()
    assert rows["rotated"][1].any()


def test_missing_face_model_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        Rotator(RotateSettings(), tmp_path / "none.npz")


def test_what_lies_beyond_the_photo_was_not_seen() -> None:
    batch = _batch([0.0])
    colours = np.zeros((1, 256, 256, 3), np.uint8)
    colours[:, :, :128], colours[:, :, 128:] = (200, 120, 90), (0, 0, 255)
    rotate = Rotator(RotateSettings(fit="landmarks", yaw_change=0.0, keep_pitch=True))
    whole = rotate({**batch, "crop": colours})
    # The photo ends in the middle of the crop: half of the face is its repeated border.
    width = np.array([(128 - PHOTO_OFFSET[0]) / PHOTO_SCALE])
    cut = rotate({**batch, "photo_width": width, "crop": colours})
    beyond = np.s_[0, 120:150, 140:160]
    assert np.abs(whole["rotated"][beyond].astype(int) - (0, 0, 255)).mean() < 8
    assert np.abs(cut["rotated"][beyond].astype(int) - (200, 120, 90)).mean() < 8
    assert cut["visible_share"][0] < 0.6 * whole["visible_share"][0]


def test_without_a_view_the_fit_and_its_quality_are_the_same_and_no_generator_is_loaded(tmp_path: Path) -> None:
    batch = _batch([0.0, 25.0])
    settings = BY_LANDMARKS.model_copy(update={"repair": "network", "weights": tmp_path / "missing.safetensors"})
    with_view, without = Rotator(BY_LANDMARKS)(batch), Rotator(settings, view=False)(batch)
    of_view = {"rotated", "rotated_yaw", "visible_share"}
    assert set(with_view) - set(without) == of_view
    for name in set(without) - {"rotate_ms"}:
        assert np.array_equal(with_view[name], without[name]), name


@pytest.fixture(scope="module")
def found(astronaut: np.ndarray, hopper: np.ndarray) -> Batch:
    """Two photos of one person, the second smaller, and one of another."""
    pictures = [astronaut, np.ascontiguousarray(astronaut[::2, ::2]), hopper]
    return Cropper(CropSettings(device="cpu"), ReadSettings())(
        {
            "photo_bytes": np.array([encode_photo(Image.fromarray(picture)) for picture in pictures], object),
            "status": np.full(3, OK, object),
            "error": np.full(3, "", object),
        }
    )


def test_with_people_a_face_says_who_it_is_and_what_it_tells_of_the_shape(found: Batch) -> None:
    stage, plain = Rotator(RotateSettings(device="cpu"), people=True), Rotator(RotateSettings(device="cpu"))
    rows, without = stage(found), plain(found)
    for name, column in stage.outputs.items():
        assert rows[name].dtype == column.dtype and rows[name].shape == (3, *column.shape), name
    assert "descriptor" not in without and np.array_equal(rows["shape"], without["shape"])
    apart = [float(np.linalg.norm(rows["descriptor"][0] - rows["descriptor"][other])) for other in (1, 2)]
    assert apart[0] < SAME_PERSON < apart[1]
    evidence = ShapeEvidence.stored(rows["shape"], rows["shape_information"])
    assert np.allclose(evidence.shape.numpy(), rows["shape"], atol=1e-5)
    open_part = evidence.covariance.diagonal(dim1=1, dim2=2)
    assert (open_part < 1.0 + 1e-9).all() and (open_part.amin(1) < 0.5).all()
