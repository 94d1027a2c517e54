from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from facerecon_ray.config.assets import PRNET_WEIGHTS, TWO_VIEW_WEIGHTS
from facerecon_ray.errors import AssetError, SettingsError
from facerecon_ray.evaluation.models import Model, parse_models
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.prnet import PRNet
from facerecon_ray.networks.two_view import TwoViewNetwork
from facerecon_ray.stages.stage import OK, Batch


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "night_12.safetensors"
    network = TwoViewNetwork()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3.0)  # as initialised, the output hardly depends on the input
    safetensors.torch.save_file(network.state_dict(), path)
    return path


@pytest.fixture
def batch() -> Batch:
    model, rng = FaceModel.default(), np.random.default_rng(0)
    return {
        "status": np.array([OK, OK], object),
        "error": np.array(["", ""], object),
        "crop": rng.integers(0, 256, (2, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8),
        "rotated": rng.integers(0, 256, (2, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8),
        "pose": np.zeros((2, 3), np.float32),
        "camera": np.array([[900.0, 128.0, 128.0, 0.0, 0.0, 0.0]] * 2, np.float32),
        "shape": rng.normal(size=(2, model.shape_size)).astype(np.float32),
        "expression": np.zeros((2, model.expression_size), np.float32),
        "crop_transform": np.tile(np.eye(2, 3, dtype=np.float32), (2, 1, 1)),
    }


def test_a_model_is_named_by_its_kind_and_a_second_one_by_its_file_too(weights: Path) -> None:
    specs = parse_models(("fitted", f"two-view={weights}", str(weights)))
    assert [spec.name for spec in specs] == ["fitted", "two-view", "two-view night_12"]
    assert specs[1].weights == specs[2].weights == weights
    assert len(specs[1].checksum) == 64


def test_a_network_without_a_file_has_the_weights_that_come_with_the_package() -> None:
    specs = parse_models(("two-view", "two-view-unrotated", "prnet"))
    assert [spec.weights for spec in specs] == [TWO_VIEW_WEIGHTS, TWO_VIEW_WEIGHTS, PRNET_WEIGHTS]
    assert all(len(spec.checksum) == 64 for spec in specs)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("best", "choose from fitted"),
        ("two-view=", "two-view=weights.safetensors"),
        ("fitted=x.safetensors", "write fitted"),
    ],
)
def test_a_model_that_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_models((text,))


def test_the_same_model_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="twice"):
        parse_models(("fitted", "fitted"))


def test_weights_that_are_missing_are_an_error_for_the_user(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no such file"):
        Model(parse_models((f"two-view={tmp_path / 'x.safetensors'}",))[0], "cpu")


def test_the_mean_face_is_the_same_for_all_persons_and_the_fitted_one_is_not(batch: Batch) -> None:
    fitted, mean = (Model(spec, "cpu")(batch)["position_map"] for spec in parse_models(("fitted", "mean-face")))
    assert (mean[0] == mean[1]).all()
    assert np.abs(fitted[0].astype(float) - fitted[1]).max() > 0.001


def test_without_rotation_the_second_view_does_not_count(weights: Path, batch: Batch) -> None:
    rotated, plain = (
        Model(spec, "cpu") for spec in parse_models((f"two-view={weights}", f"two-view-unrotated={weights}"))
    )
    other = {**batch, "rotated": batch["rotated"][::-1].copy()}
    assert (plain(batch)["position_map"] == plain(other)["position_map"]).all()
    assert (rotated(batch)["position_map"] != rotated(other)["position_map"]).any()


def test_the_single_image_baseline_sees_the_crop_alone(tmp_path: Path, batch: Batch) -> None:
    torch.manual_seed(0)
    path = tmp_path / "prnet.safetensors"
    safetensors.torch.save_file(PRNet().state_dict(), path)
    model = Model(parse_models((f"prnet={path}",))[0], "cpu")
    result = model({name: values for name, values in batch.items() if name != "rotated"})
    assert result["status"].tolist() == [OK, OK]
    assert result["position_map"].shape == (2, CROP_SIZE, CROP_SIZE, 3)
