import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from noise_crops import PHOTO_OFFSET, PHOTO_SCALE, noise_crops

from facerecon_ray.config.reconstruct import CropSettings, FitSettings, ReadSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.networks.face_descriptor import SAME_PERSON
from facerecon_ray.stages.crop import Cropper
from facerecon_ray.stages.fit import Fitter
from facerecon_ray.stages.stage import FAILED, OK, Batch
from facerecon_ray.storage.photos.photo_file import encode_photo

BY_LANDMARKS = FitSettings(method="landmarks")


def test_pose_and_camera_are_those_of_the_head() -> None:
    rows = Fitter(BY_LANDMARKS)(noise_crops([0.0, 20.0, -50.0]))
    assert rows["status"].tolist() == [OK] * 3
    np.testing.assert_allclose(rows["pose"][:, 0], [0, 20, -50], atol=0.5)
    np.testing.assert_allclose(rows["camera"][:, :3], [[900, 128, 128]] * 3, atol=5)


def test_the_distance_follows_from_the_focal_length_that_the_photo_states() -> None:
    batch = noise_crops([0.0, 0.0])
    batch["focal_length"][:] = 900 / PHOTO_SCALE * np.float32([0.5, 2.0])
    rows = Fitter(BY_LANDMARKS)(batch)
    near, far = 1 / rows["camera"][:, 3]
    assert 0.4 < near < 0.7 and 1.4 < far < 2.4
    place = (128 - np.array(PHOTO_OFFSET)) / PHOTO_SCALE - 300
    np.testing.assert_allclose(rows["camera"][:, 4:], place / batch["focal_length"][:, None], atol=1e-4)


def test_landmarks_of_the_manifest_are_nearer_to_the_true_ones_than_those_that_were_found() -> None:
    batch = noise_crops([-30.0, -10.0, 0.0, 20.0])
    errors = np.linalg.cholesky(FaceModel.default().landmark_noise.numpy()) @ np.random.default_rng(1).normal(
        size=(136, 4)
    )
    size = np.sqrt(np.ptp(batch["landmarks"], axis=1).prod(1))[:, None, None]
    found = batch["landmarks"] + (errors.T.reshape(4, 68, 2) * size).astype(np.float32)
    rows = Fitter(BY_LANDMARKS)({**batch, "landmarks": found})
    assert rows["landmarks"].dtype == np.float32
    off = [np.linalg.norm(marks - batch["landmarks"], axis=-1).mean() for marks in (found, rows["landmarks"])]
    assert off[1] < 0.8 * off[0]


def test_landmarks_that_cannot_be_fitted_fail_their_own_row_only() -> None:
    batch = noise_crops([0.0, 10.0])
    batch["landmarks"][0] = np.nan
    rows = Fitter(BY_LANDMARKS)(batch)
    assert rows["status"].tolist() == [FAILED, OK]
    assert rows["error"][0].startswith("fit stage failed")
    assert np.isnan(rows["landmarks"][0]).all()
    assert rows["camera"][1].any()


def test_missing_face_model_is_an_asset_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        Fitter(FitSettings(), tmp_path / "none.npz")


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
    stage, plain = Fitter(FitSettings(device="cpu"), people=True), Fitter(FitSettings(device="cpu"))
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
