from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from facerecon_ray.config.reconstruct import ReconstructSettings
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitted_views import FittedViews
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.turned_view import second_camera
from facerecon_ray.networks.two_view import FIT, TwoViewNetwork, corrected, load_weights
from facerecon_ray.networks.weight_file import weight_bytes
from facerecon_ray.stages.reconstruct import Reconstructor
from facerecon_ray.stages.second_view import whole_camera
from facerecon_ray.stages.stage import FAILED, OK, Batch, select


def fitted_batch(rows: int) -> Batch:
    """Columns of the earlier stages for random faces."""
    rng = np.random.default_rng(0)
    model = FaceModel.default()
    return {
        "status": np.full(rows, OK, object),
        "error": np.full(rows, "", object),
        "crop": rng.integers(0, 256, (rows, 256, 256, 3), np.uint8),
        "rotated": rng.integers(0, 256, (rows, 256, 256, 3), np.uint8),
        "pose": rng.uniform(-40, 40, (rows, 3)).astype(np.float32),
        "crop_transform": np.tile(np.float32([[0.5, 0.0, -20.0], [0.0, 0.5, -30.0]]), (rows, 1, 1)),
        "camera": np.tile(np.float32([900, 130, 120, 0.8, 0.1, -0.05]), (rows, 1)),
        "shape": rng.normal(size=(rows, model.shape_size)).astype(np.float32),
        "expression": rng.uniform(0, 0.5, (rows, model.expression_size)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "two_view.safetensors"
    safetensors.torch.save_file(TwoViewNetwork().state_dict(), path)
    return path


def test_few_faces_are_worked_on_together_on_a_cpu_and_each_comes_out_as_alone() -> None:
    rows: list[int] = []

    class Counted(Reconstructor):
        def process(self, batch: Batch) -> Batch:
            rows.append(len(batch["status"]))
            return super().process(batch)

    stage, batch = Counted(ReconstructSettings(device="cpu")), fitted_batch(9)
    together = stage(batch)["position_map"]
    assert rows == [4, 4, 1]
    alone = [stage(select(batch, np.array([row])))["position_map"][0] for row in range(9)]
    np.testing.assert_array_equal(together, alone)


def test_fitted_map_holds_the_fitted_face() -> None:
    batch = fitted_batch(3)
    result = Reconstructor(ReconstructSettings(device="cpu"))(batch)
    assert (result["status"] == OK).all()
    assert result["position_map"].shape == (3, 256, 256, 3)
    assert result["position_map"].dtype == np.float16
    model = FaceModel.default()
    layout = UvLayout.of(model)
    columns = {name: torch.from_numpy(batch[name]) for name in ("pose", "camera", "shape", "expression")}
    vertices = model.vertices(columns["shape"], columns["expression"])
    points = Camera.from_row(columns["pose"], columns["camera"]).project(vertices)[:, layout.vertices]
    read = layout.vertices_from_map(torch.from_numpy(result["position_map"]))
    assert (read - points).norm(dim=-1).mean() < 0.3


def test_a_row_that_failed_before_passes_through_with_an_empty_map() -> None:
    batch = fitted_batch(2)
    batch["status"][0], batch["error"][0] = FAILED, "why"
    batch["shape"][0] = np.nan
    result = Reconstructor(ReconstructSettings(device="cpu"))(batch)
    assert (result["status"][0], result["error"][0]) == (FAILED, "why")
    assert not result["position_map"][0].any()
    assert result["position_map"][1].any()


def test_two_view_map_is_the_networks_output_channels_last(weights: Path) -> None:
    batch = fitted_batch(2)
    settings = ReconstructSettings(method="two-view", weights=weights, device="cpu")
    result = Reconstructor(settings)(batch)
    assert (result["error"] == "").all()
    network = TwoViewNetwork().eval()
    network.load_state_dict(safetensors.torch.load_file(weights))
    views = torch.from_numpy(np.concatenate([batch["crop"], batch["rotated"]], -1))
    with torch.no_grad():
        expected = network(views.permute(0, 3, 1, 2).contiguous().float() / 255).permute(0, 2, 3, 1)
    assert np.abs(result["position_map"] - expected.numpy()).max() < 1e-3


@pytest.mark.parametrize("yaw_change", [30.0, 20.0])
def test_weights_that_correct_a_fit_see_the_second_view_by_its_own_camera(yaw_change: float, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = TwoViewNetwork(fit=True).eval()
    path = tmp_path / "two_view.safetensors"
    path.write_bytes(weight_bytes(network.state_dict(), "two-view", {FIT: "true"}))
    network = load_weights(path)
    batch = fitted_batch(2)
    model = FaceModel.default()
    columns = {name: torch.from_numpy(batch[name]) for name in ("pose", "camera", "shape", "expression")}
    vertices = model.vertices(columns["shape"], columns["expression"])
    views = torch.from_numpy(np.concatenate([batch["crop"], batch["rotated"]], -1)).permute(0, 3, 1, 2) / 255
    camera = Camera.from_row(columns["pose"], columns["camera"])
    second = second_camera(model, camera, vertices, yaw_change, keep_pitch=False)
    settings = ReconstructSettings(method="two-view", weights=path, device="cpu")
    result = Reconstructor(settings)({**batch, "rotated_camera": whole_camera(second).numpy()})
    assert (result["error"] == "").all()
    maps, seen = FittedViews(UvLayout.of(model))(views, (camera, vertices), (second, vertices))
    with torch.no_grad():
        expected = corrected(maps, network(seen)).permute(0, 2, 3, 1)
    assert np.abs(result["position_map"] - expected.numpy()).max() < 2e-3


@pytest.mark.parametrize("method", ["two-view", "prnet"])
def test_missing_weights_are_named(method: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=rf"{method} weights .*none\.safetensors: no such file"):
        Reconstructor(ReconstructSettings.model_validate({"method": method, "weights": tmp_path / "none.safetensors"}))


def test_missing_files_are_named_when_the_stage_is_built(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"nowhere\.safetensors"):
        Reconstructor(ReconstructSettings(method="two-view", weights=tmp_path / "nowhere.safetensors"))
    with pytest.raises(AssetError, match=r"nowhere\.npz"):
        Reconstructor(ReconstructSettings(), tmp_path / "nowhere.npz")
