from pathlib import Path

import pytest
import torch

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mirrored_faces import mirrored_points
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.networks.fitter import (
    FACE_MODEL,
    MAP_SIDE,
    USUAL_DEVIATION,
    USUAL_SCALE,
    FittedFaces,
    FitterNetwork,
    load_weights,
    means_of,
    network_for,
    shrink,
    telling_points,
)
from facerecon_ray.networks.weight_file import weight_bytes

SHAPE, EXPRESSION, DENSE = 5, 3, 12
POINTS = 68 + DENSE
NUMBERS = 6 + 3 + SHAPE + EXPRESSION + POINTS
TELLING = torch.tensor([*range(68), 70, 77])
MIRRORED = torch.tensor([*range(68), 69, 68])
COEFFICIENTS = slice(9, 9 + SHAPE + EXPRESSION)


@pytest.fixture(scope="module")
def network() -> FitterNetwork:
    torch.manual_seed(0)
    return FitterNetwork(SHAPE, EXPRESSION, DENSE, TELLING, MIRRORED).eval()


def nothing(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(rows, NUMBERS), torch.zeros(rows, POINTS, MAP_SIDE, MAP_SIDE)


def read(network: FitterNetwork, numbers: torch.Tensor, maps: torch.Tensor) -> FittedFaces:
    return network.read((numbers, maps, means_of(maps)))


def test_an_output_of_nothing_is_the_mean_face_from_the_front_in_the_middle(network: FitterNetwork) -> None:
    faces = read(network, *nothing(2))
    assert torch.equal(faces.rotation, torch.eye(3).expand(2, 3, 3))
    assert torch.equal(faces.camera.angles, torch.zeros(2, 3))
    assert torch.equal(faces.camera.scale, torch.full((2,), USUAL_SCALE))
    assert torch.equal(faces.camera.translation, torch.full((2, 2), 128.0))
    assert torch.allclose(faces.points, torch.full((2, POINTS, 2), 128.0), atol=1e-3)
    assert torch.equal(faces.deviation, torch.full((2, POINTS), USUAL_DEVIATION))
    assert torch.equal(faces.landmarks, faces.points[:, :68])
    assert not faces.shape.any() and faces.shape.shape == (2, SHAPE)
    assert not faces.expression.any() and faces.expression.shape == (2, EXPRESSION)


def test_any_output_is_a_proper_rotation_and_the_camera_has_its_angles(network: FitterNetwork) -> None:
    numbers, maps = nothing(200)
    numbers = 3 * torch.randn(numbers.shape, generator=torch.Generator().manual_seed(0))
    faces = read(network, numbers, maps)
    identity = torch.eye(3).expand(200, 3, 3)
    assert torch.allclose(faces.rotation @ faces.rotation.mT, identity, atol=1e-4)
    assert torch.allclose(torch.linalg.det(faces.rotation), torch.ones(200), atol=1e-4)
    assert torch.allclose(rotation_from_angles(faces.camera.angles), faces.rotation, atol=1e-3)


def test_a_rotation_is_read_from_the_first_two_columns(network: FitterNetwork) -> None:
    angles = torch.tensor([[70.0, -20.0, 35.0], [-89.0, 10.0, -120.0]])
    columns = rotation_from_angles(angles)[..., :2].mT.flatten(1)
    output = nothing(2)
    output[0][:, :6] = columns - torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert torch.allclose(read(network, *output).camera.angles, angles, atol=1e-2)


def test_points_are_the_means_of_their_heat_maps(network: FitterNetwork) -> None:
    numbers, maps = nothing(1)
    maps[0, 5, 10, 20] = 100.0
    maps[0, 6, 30, 3], maps[0, 6, 30, 4] = 100.0, 100.0
    maps[0, 70, 2, 9] = 100.0
    points = read(network, numbers, maps).points[0]
    cell = 256 / MAP_SIDE
    assert torch.allclose(points[5], torch.tensor([20.5, 10.5]) * cell, atol=1e-3)
    assert torch.allclose(points[6], torch.tensor([4.0, 30.5]) * cell, atol=1e-3)
    assert torch.allclose(points[70], torch.tensor([9.5, 2.5]) * cell, atol=1e-3)
    assert torch.allclose(points[7], torch.tensor([128.0, 128.0]), atol=1e-3)


def test_spread_says_how_far_the_heat_maps_lie_about_their_means(network: FitterNetwork) -> None:
    numbers, maps = nothing(3)
    maps[1, :, 10, 20] = 100.0
    maps[2, :, 10, 20], maps[2, :, 10, 24] = 100.0, 100.0
    spread = read(network, numbers, maps).spread
    cell = 256 / MAP_SIDE
    even = cell * ((MAP_SIDE**2 - 1) / 6) ** 0.5
    assert torch.allclose(spread, torch.tensor([even, 0.0, 2 * cell]), atol=1e-2)


def peaks(places: torch.Tensor) -> torch.Tensor:
    """(1, P, H, H) maps with a sharp peak at each of (P, 2) cells."""
    maps = torch.zeros(1, POINTS, MAP_SIDE, MAP_SIDE)
    maps[0, torch.arange(POINTS), places[:, 1], places[:, 0]] = 100.0
    return maps


@pytest.fixture
def solved() -> FitterNetwork:
    torch.manual_seed(1)
    network = FitterNetwork(SHAPE, EXPRESSION, DENSE, TELLING, MIRRORED).eval()
    random = [torch.randn(5, *size) for size in ((len(TELLING), 2), (3, 3), (SHAPE + EXPRESSION,))]
    network.coefficients.solve(50 * random[0], torch.linalg.qr(random[1]).Q, random[2])
    return network


def test_coefficients_follow_from_telling_points_and_pose_alone(
    solved: FitterNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = torch.randint(4, 12, (POINTS, 2))
    monkeypatch.setattr(solved, "_maps", lambda pyramid, chosen: peaks(places))
    for crop in torch.rand(2, 1, 3, 192, 192):
        output = solved(crop)
        found = solved.read(output)
        wanted = solved.coefficients(found.points[:, TELLING], found.rotation)
        assert wanted.any()
        assert torch.allclose(output[0][:, COEFFICIENTS], wanted, atol=1e-4)


def test_coefficients_are_the_same_when_other_points_are_left_out(solved: FitterNetwork) -> None:
    crops = torch.rand(2, 3, 192, 192)
    every, chosen = solved(crops)[0], solved(crops, torch.cat([TELLING, torch.tensor([69])]))[0]
    assert every[:, COEFFICIENTS].any()
    assert torch.allclose(chosen[:, COEFFICIENTS], every[:, COEFFICIENTS], atol=1e-4)


def test_coefficients_pull_at_the_points_they_follow_from_but_not_at_the_pose(solved: FitterNetwork) -> None:
    solved(torch.rand(2, 3, 192, 192))[0][:, COEFFICIENTS].square().sum().backward()
    pulled = solved.maps.weight.grad
    assert pulled is not None
    assert pulled.flatten(1).any(1).nonzero()[:, 0].tolist() == TELLING.tolist()
    assert solved.placement.weight.grad is None or not solved.placement.weight.grad.any()


def test_the_telling_points_of_a_face_model_are_landmarks_and_pairs_of_dense_ones() -> None:
    model = FaceModel.default()
    telling = telling_points(model)
    assert telling[:68].tolist() == list(range(68))
    assert 100 < len(telling) < 300 and torch.equal(telling, telling.unique())
    assert torch.equal(mirrored_points(model)[telling].sort().values, telling)
    network = network_for(model)
    assert torch.equal(telling[network.mirrored], mirrored_points(model)[telling])


def test_scales_stay_within_a_factor_of_e_squared(network: FitterNetwork) -> None:
    output = nothing(4)
    output[0][:, 6] = torch.tensor([-50.0, 0.1, 1.0, 50.0])
    found = read(network, *output).camera.scale / USUAL_SCALE
    assert torch.allclose(found, torch.tensor([-2.0, 0.1, 1.0, 2.0]).exp())


@torch.no_grad()
def test_the_output_is_float32_whatever_precision_the_network_has(network: FitterNetwork) -> None:
    crops = torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(1))
    exact = network(crops)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(crops)
    assert [tuple(part.shape) for part in mixed] == [(2, NUMBERS), (2, 68, MAP_SIDE, MAP_SIDE), (2, POINTS, 2)]
    for rough, fine in zip(mixed, exact, strict=True):
        assert rough.dtype == torch.float32
        assert 0 < (rough - fine).abs().max() < 0.05


def test_of_all_points_a_training_may_choose_some() -> None:
    torch.manual_seed(3)
    network = FitterNetwork(SHAPE, EXPRESSION, DENSE, TELLING, MIRRORED).eval()
    crops, chosen = torch.rand(2, 3, 192, 192), torch.tensor([*range(68), 75, 70])
    (numbers, maps, means), (all_numbers, all_maps, all_means) = network(crops, chosen), network(crops)
    assert torch.allclose(maps, all_maps[:, chosen], atol=1e-5)
    assert torch.allclose(means, all_means[:, chosen], atol=1e-3)
    found, whole = network.read((numbers, maps, means)), network.read((all_numbers, all_maps, all_means))
    assert torch.allclose(found.deviation, whole.deviation[:, chosen], atol=1e-5)
    assert torch.allclose(found.spread, whole.spread, atol=1e-3)
    maps.square().sum().backward()
    assert network.maps.weight.grad is not None
    assert network.maps.weight.grad.flatten(1).any(1).nonzero()[:, 0].tolist() == sorted(chosen.tolist())


@torch.no_grad()
def test_faces_are_drawn_one_by_one_as_together(network: FitterNetwork) -> None:
    crops = torch.rand(3, 3, 192, 192, generator=torch.Generator().manual_seed(4))
    with torch.enable_grad():
        together = network(crops)
    alone = network(crops)
    assert torch.allclose(alone[0], together[0], atol=1e-4)
    assert torch.allclose(alone[1], together[1][:, :68], atol=1e-4)
    assert torch.allclose(alone[2], together[2], atol=1e-3)


def test_one_training_step_moves_every_parameter() -> None:
    torch.manual_seed(0)
    network = FitterNetwork(SHAPE, EXPRESSION, DENSE, TELLING, MIRRORED)
    numbers, maps, _ = network(torch.rand(2, 3, 192, 192))
    (numbers.square().mean() + maps.square().mean()).backward()
    still = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


def test_crops_shrink_without_aliases() -> None:
    crops = torch.zeros(1, 3, 256, 256)
    crops[0, :, :, ::2] = 1.0
    small = shrink(crops)
    assert small.shape == (1, 3, 192, 192)
    assert (small[..., 2:-2] - 0.5).abs().max() < 0.25 < 0.5
    assert torch.allclose(shrink(torch.full((1, 3, 256, 256), 0.3)), torch.tensor(0.3))


@torch.no_grad()
def test_a_glance_gives_the_same_landmarks_and_rotations(network: FitterNetwork) -> None:
    crops = torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(2))
    landmarks, rotation = network.glance(crops)
    whole = network.read(network(crops))
    assert torch.allclose(landmarks, whole.landmarks, atol=1e-3)
    assert torch.allclose(rotation, whole.rotation, atol=1e-5)


def test_deviations_are_kept_within_what_a_crop_can_hold(network: FitterNetwork) -> None:
    output = nothing(3)
    output[0][:, -POINTS:] = torch.tensor([-50.0, 0.5, 50.0])[:, None]
    found = read(network, *output).deviation[:, 0] / USUAL_DEVIATION
    assert torch.allclose(found, torch.tensor([-4.0, 0.5, 4.0]).exp())


def test_weights_of_another_face_model_are_refused_and_those_that_name_none_are_taken(tmp_path: Path) -> None:
    model = FaceModel.default()
    state = network_for(model).state_dict()
    path = tmp_path / "fitter.safetensors"
    for known in ({}, {FACE_MODEL: model.fingerprint}):
        path.write_bytes(weight_bytes(state, "fitter", known))
        assert not load_weights(path, model).training
    path.write_bytes(weight_bytes(state, "fitter", {FACE_MODEL: "another"}))
    with pytest.raises(AssetError, match=r"fitter\.safetensors: they are for another face model"):
        load_weights(path, model)
