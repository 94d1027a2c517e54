import numpy as np
import pytest
import torch

from facerecon_ray.config.synthesis import PairSettings
from facerecon_ray.geometry.crop_transform import CROP_SIZE, crop_transform
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.stages.pair_truth import PairTruth
from facerecon_ray.stages.stage import Batch

YAWS = (-90.0, -55.0, 0.0, 30.0, 90.0)
SCALE = 700.0


@pytest.fixture(scope="module")
def truth() -> PairTruth:
    return PairTruth(PairSettings(landmarks="exact"), FaceModel.default())


def heads(seed: int = 0) -> tuple[Batch, Camera, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows with heads of the model under scaled orthographic cameras, and what they were made from."""
    model, rng, count = FaceModel.default(), torch.Generator().manual_seed(seed), len(YAWS)
    angles = torch.rand(count, 3, generator=rng) * 40.0 - 20.0
    angles[:, 0] = torch.tensor(YAWS)
    camera = Camera(angles, torch.full((count,), SCALE), torch.tensor([[150.0, 170.0]]).expand(count, 2))
    shape = torch.randn(count, model.shape_size, generator=rng)
    expression = torch.rand(count, model.expression_size, generator=rng)
    vertices = model.vertices(shape, expression)
    batch = {
        "photo": np.random.default_rng(seed).integers(0, 255, (count, 320, 340, 3), np.uint8),
        "points": camera.project(vertices).numpy(),
        "surface": (vertices * 1000.0 + 5.0).numpy(),
        "noise_seed": np.array([(seed, row) for row in range(count)], np.uint64),
        "status": np.full(count, "ok", object),
        "error": np.full(count, "", object),
    }
    return batch, camera, shape, expression, vertices


def test_pose_camera_and_coefficients_are_those_the_head_was_made_from(truth: PairTruth) -> None:
    batch, camera, shape, expression, _ = heads()
    result = truth(batch)
    assert list(result["status"]) == ["ok"] * len(YAWS)
    np.testing.assert_allclose(result["pose"], camera.angles, atol=0.02)
    np.testing.assert_allclose(result["shape"], shape, atol=0.15)
    np.testing.assert_allclose(result["expression"], expression, atol=0.25)
    scale = result["crop_transform"][:, 0, 0]
    np.testing.assert_allclose(result["camera"][:, 0], SCALE * scale, rtol=5e-4)
    origin = np.array([150.0, 170.0]) * scale[:, None] + result["crop_transform"][..., 2]
    np.testing.assert_allclose(result["camera"][:, 1:3], origin, atol=0.02)


def test_landmarks_and_crop_follow_from_the_true_head(truth: PairTruth) -> None:
    batch, camera, _, _, vertices = heads(1)
    result = truth(batch)
    expected = projected_landmarks(FaceModel.default(), vertices, camera).numpy()
    np.testing.assert_allclose(result["landmarks"], expected[..., :2], atol=0.01)
    np.testing.assert_allclose(result["crop_transform"], crop_transform(expected[..., :2]), rtol=1e-4, atol=1e-3)
    assert set(result["photo_width"]) == {340}
    assert set(result["photo_height"]) == {320}
    inside = result["landmarks_3d"][..., :2]
    assert inside.min() > 0.1 * CROP_SIZE
    assert inside.max() < 0.9 * CROP_SIZE
    np.testing.assert_allclose(
        result["landmarks_3d"][..., 2], expected[..., 2] * result["crop_transform"][:, :1, 0], atol=0.05
    )


def test_position_map_gives_the_mesh_back_within_a_tenth_of_a_per_cent_at_all_poses(truth: PairTruth) -> None:
    batch, _, _, _, _ = heads(2)
    result = truth(batch)
    layout = UvLayout.of(FaceModel.default())
    read = layout.vertices_from_map(torch.from_numpy(result["position_map"])).numpy()
    scale = result["crop_transform"][:, 0, 0]
    true = batch["points"][:, layout.vertices.numpy()]
    flat = true[..., :2] * scale[:, None, None] + result["crop_transform"][:, None, :, 2]
    true = np.concatenate([flat, true[..., 2:] * scale[:, None, None]], -1)
    size = np.linalg.norm(np.ptp(true, axis=1), axis=-1)
    error = np.linalg.norm(read - true, axis=-1).mean(1) / size
    assert error.max() < 0.001, error


def test_depth_zero_is_that_of_the_models_origin_whatever_the_photos_depths_start_from(truth: PairTruth) -> None:
    batch, *_ = heads(3)
    moved = {**batch, "points": batch["points"] + np.array([0.0, 0.0, 500.0], np.float32)}
    np.testing.assert_allclose(
        truth(moved)["position_map"].astype(np.float32), truth(batch)["position_map"].astype(np.float32), atol=1e-3
    )


def test_noisy_landmarks_have_the_models_noise_and_follow_their_seed() -> None:
    model = FaceModel.default()
    noisy = PairTruth(PairSettings(landmarks="noisy"), model)
    batch, *_ = heads(4)
    rows = {name: np.repeat(values[2:3], 60, axis=0) for name, values in batch.items()}
    rows["noise_seed"] = np.array([(9, row) for row in range(60)], np.uint64)
    found, again = noisy(rows)["landmarks"], noisy(rows)["landmarks"]
    exact = PairTruth(PairSettings(landmarks="exact"), model)(rows)["landmarks"]
    np.testing.assert_array_equal(found, again)
    size = np.sqrt(np.ptp(exact[0], axis=0).prod())
    spread = (found - exact)[:, :, :].std(0).ravel() / size
    np.testing.assert_allclose(spread, np.sqrt(np.diag(model.landmark_noise)), rtol=0.45)


def test_predicted_landmarks_are_used_up_to_the_yaw_limit_only(hopper: np.ndarray) -> None:
    batch, *_ = heads(5)
    photos = np.repeat(hopper[None, 50:370, 90:410], len(YAWS), axis=0)
    settings = PairSettings(landmarks="predicted", predicted_yaw=45.0)
    predicted = PairTruth(settings, FaceModel.default())({**batch, "photo": photos})["landmarks"]
    noisy = PairTruth(PairSettings(landmarks="noisy"), FaceModel.default())({**batch, "photo": photos})["landmarks"]
    differs = np.abs(predicted - noisy).max((1, 2)) > 1.0
    assert differs.tolist() == [abs(yaw) <= 45.0 for yaw in YAWS]


def test_a_row_that_failed_before_stays_failed_and_empty(truth: PairTruth) -> None:
    batch, *_ = heads(6)
    batch["status"][1], batch["error"][1] = "failed", "no such file"
    result = truth(batch)
    assert result["status"].tolist() == ["ok", "failed", "ok", "ok", "ok"]
    assert result["error"][1] == "no such file"
    assert result["camera"][1].tolist() == [0.0] * 6
