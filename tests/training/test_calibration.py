from pathlib import Path

import pytest
import safetensors.torch
import torch
from training_pairs import write_pairs

from facerecon_ray.errors import AssetError, InputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.fitter import FACE_MODEL, network_for
from facerecon_ray.networks.view_generator import ViewGenerator
from facerecon_ray.networks.weight_file import read_metadata, weight_bytes
from facerecon_ray.training.calibration import calibrate


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    model = FaceModel.default()
    torch.manual_seed(0)
    network = network_for(model)
    path = tmp_path / "fitter.safetensors"
    path.write_bytes(weight_bytes(network.state_dict(), "fitter", {FACE_MODEL: model.fingerprint, "step": "7"}))
    return path


def test_errors_are_measured_on_rows_that_were_not_trained_on_and_coefficients_solved_on_those_that_were(
    weights: Path, tmp_path: Path
) -> None:
    pairs = write_pairs(tmp_path / "pairs", train=3, validation=1)
    once, twice = tmp_path / "once.safetensors", tmp_path / "twice.safetensors"
    assert calibrate(weights, [pairs], [], once) == 2
    assert calibrate(weights, [], [pairs], twice) == 8
    before, few, many = (safetensors.torch.load_file(path) for path in (weights, once, twice))
    changed = {name for name, value in before.items() if not torch.equal(value, few[name])}
    measured = {"noise_factors", "noise_own", "coefficient_noise"}
    assert changed == {*measured, "coefficients.middle", "coefficients.patterns", "coefficients.weights"}
    assert {name for name, value in before.items() if not torch.equal(value, many[name])} == measured
    assert not torch.equal(few["noise_own"], many["noise_own"])
    assert many["noise_own"].min() > 0.0
    assert read_metadata(once, "fitter") == read_metadata(weights, "fitter")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rotator.safetensors"
    path.write_bytes(weight_bytes(ViewGenerator().state_dict(), "rotator", {}))
    with pytest.raises(AssetError, match=r"they are rotator's; only a fitter"):
        calibrate(path, [], [write_pairs(tmp_path / "pairs")], tmp_path / "out.safetensors")


def test_data_without_rows_that_count_are_named_and_nothing_is_written(weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match=r"nowhere: no data set"):
        calibrate(weights, [str(tmp_path / "nowhere")], [], output)
    with pytest.raises(InputError, match=r"pairs: no rows for validation or test"):
        calibrate(weights, [write_pairs(tmp_path / "pairs", validation=0)], [], output)
    assert not output.exists()
