import math
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from facerecon_ray.config.assets import FITTER_WEIGHTS
from facerecon_ray.config.training import AugmentationSettings, FitterTraining
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mirrored_faces import mirrored_coefficients, mirrored_points
from facerecon_ray.geometry.pose import Camera, rotation_from_angles
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.networks.both_ways import look_both_ways
from facerecon_ray.networks.fitter import (
    FACE_MODEL,
    MAP_SIDE,
    USUAL_DEVIATION,
    FittedFaces,
    Output,
    load_weights,
    means_of,
    network_for,
    telling_points,
)
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.recipes import fitter as fitter_recipe
from facerecon_ray.training.recipes.augmentation import Placement
from facerecon_ray.training.recipes.fitter import FitterRecipe
from facerecon_ray.training.recipes.point_losses import MAP_WIDTH, negative_log_likelihood

sys.path.insert(0, str(Path(__file__).parents[1]))
from training_pairs import as_batch, face_rows

CPU = torch.device("cpu")
PHOTOS = Path(__file__).parents[3] / "facerecon_ray/assets/photos"
STILL = AugmentationSettings(channels=(1.0, 1.0), contrast=0, grey_share=0, blur_share=0, noise=0, erase_share=0)
MODEL = FaceModel.default()
FACE = MODEL.face_vertices
JAW = 17
COEFFICIENTS = slice(9, 9 + MODEL.shape_size + MODEL.expression_size)

settings = partial(FitterTraining, data="pairs", output="out", augmentation=STILL, dense_points=None)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    """Four rows: two subjects in two poses."""
    rows = [face_rows(number) for number in range(2)]
    return as_batch({name: np.concatenate([one[name] for one in rows]) for name in FitterRecipe.columns})


@pytest.fixture(scope="module")
def recipe() -> FitterRecipe:
    torch.manual_seed(0)
    return FitterRecipe(settings(), CPU)


def placement(mirrored: bool, **change: Any) -> Placement:
    """Four rows moved alike."""
    zoom, roll, shift = change.get("zoom", 1.0), change.get("roll", 0.0), change.get("shift", (0.0, 0.0))
    return Placement(
        torch.full((4,), zoom), torch.full((4,), roll), torch.tensor([shift] * 4), torch.tensor([mirrored] * 4), 256
    )


def vertices(faces: FittedFaces) -> Tensor:
    return faces.camera.project(MODEL.vertices(faces.shape, faces.expression))


def output_for(batch: dict[str, Tensor]) -> Output:
    """What the network would have to say."""
    rotation = rotation_from_angles(batch["pose"])
    place = (batch["camera"][:, 1:3] - 128) / 128
    scale = (batch["camera"][:, :1] / 975.0).log()
    pose = rotation[..., :2].mT.flatten(1) - torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    centres = (torch.arange(MAP_SIDE) + 0.5) * 256 / MAP_SIDE
    points = torch.cat([batch["landmarks_3d"][..., :2], batch["dense_landmarks"].view(len(pose), -1, 2)], 1)
    steps = (points[..., None] - centres) / (MAP_WIDTH * 256 / MAP_SIDE)
    maps = -0.5 * (steps[..., 0, None, :].square() + steps[..., 1, :, None].square())
    certain = torch.zeros(points.shape[:2])
    numbers = torch.cat([pose, scale, place, batch["shape"], batch["expression"], certain], 1)
    return numbers, maps, means_of(maps)


class Says(torch.nn.Module):
    """A network that says the same whatever it sees."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.output = output

    def forward(self, crops: Tensor, chosen: Tensor | None = None) -> Output:
        return self.output


class Looks(torch.nn.Module):
    """A network that says something of the crops of a batch, and something of their mirror images."""

    def __init__(self, there: Output, mirrored: Output) -> None:
        super().__init__()
        self.outputs = there, mirrored

    def forward(self, crops: Tensor, chosen: Tensor) -> Output:
        numbers, maps, means = (torch.cat(parts) for parts in zip(*self.outputs, strict=True))
        points = means.shape[1]
        return torch.cat([numbers[:, :-points], numbers[:, -points:][:, chosen]], 1), maps[:, chosen], means[:, chosen]


def looks(recipe: FitterRecipe, batch: dict[str, Tensor], columns: int = 0) -> Looks:
    """What the network would have to say of both, or with heat maps that lie some columns to the right in the crop."""
    faces = recipe._moved_truth(batch, placement(mirrored=True))
    rows = dict(
        batch, pose=faces.camera.angles, camera=faces.camera.row, shape=faces.shape, expression=faces.expression
    )
    rows["landmarks_3d"] = torch.nn.functional.pad(faces.landmarks, (0, 1))
    rows["dense_landmarks"] = faces.points[:, 68:].flatten(1)
    return Looks(shifted(output_for(batch), columns), shifted(output_for(rows), -columns))


class Remembers(torch.nn.Module):
    """A network that remembers which points were asked of it."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network
        self.asked: list[Tensor | None] = []

    def forward(self, crops: Tensor, chosen: Tensor | None = None) -> Output:
        self.asked.append(chosen)
        return self.network(crops, chosen)


def shifted(output: Output, columns: int = 1) -> Output:
    """The same with heat maps that lie some columns to the right."""
    maps = output[1].roll(columns, -1)
    return output[0], maps, means_of(maps)


def test_mirrored_coefficients_make_the_mirror_image() -> None:
    random = torch.Generator().manual_seed(2)
    shape = torch.randn(6, MODEL.shape_size, generator=random)
    expression = 0.5 * torch.rand(6, MODEL.expression_size, generator=random)
    mirrored = torch.cat([shape, expression], 1) @ mirrored_coefficients(MODEL)
    found = MODEL.vertices(*mirrored.split([MODEL.shape_size, MODEL.expression_size], 1))
    face = MODEL.vertices(shape, expression)
    expected = face[:, MODEL.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    distance = (found - expected).norm(dim=-1)[:, FACE]
    assert distance.mean() < 0.001
    assert (face - expected).norm(dim=-1)[:, FACE].mean() > 2 * distance.mean()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "change",
    [{}, {"roll": 20.0}, {"zoom": 1.2}, {"shift": (12.0, -7.0)}, {"roll": -15.0, "zoom": 0.85, "shift": (-9.0, 4.0)}],
)
def test_the_moved_truth_lies_where_the_picture_was_moved(
    mirrored: bool, change: dict[str, Any], recipe: FitterRecipe, batch: dict[str, Tensor]
) -> None:
    moved = placement(mirrored, **change)
    truth = recipe._moved_truth(batch, moved)
    before = Camera.from_row(batch["pose"], batch["camera"]).project(
        MODEL.vertices(batch["shape"], batch["expression"])
    )
    expected = moved.move(before[:, MODEL.mirror] if mirrored else before)
    limit = 1.0 if mirrored else 0.02
    assert (vertices(truth) - expected)[:, FACE].norm(dim=-1).mean() < limit
    assert torch.allclose(rotation_from_angles(truth.camera.angles), truth.rotation, atol=1e-4)
    # The jaw's landmarks slide, and may lie on another point of their path.
    found = recipe._model_landmarks(truth, truth)
    distance = (found[..., :2] - truth.landmarks).norm(dim=-1)
    assert distance[:, JAW:].mean() < limit
    assert distance[:, :JAW].mean() < 2 * limit
    # The subject's right brow stays to the left of the left one.
    turned = torch.nn.functional.pad(truth.landmarks, (0, 1))
    upright = turned @ rotation_from_angles(torch.tensor([0.0, 0.0, change.get("roll", 0.0)]))
    assert (upright[:, 19, 0] < upright[:, 24, 0]).all()


def test_roll_turns_the_drawn_face_as_it_turns_the_picture(recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    def drawn(points: Tensor) -> Tensor:
        return rasterize(points, MODEL.triangles[MODEL.face_triangles], 256, 256).mask

    still = drawn(vertices(recipe._moved_truth(batch, placement(False))))
    turned = placement(False, roll=30.0)
    picture = turned.pictures(still[:, None].float(), 256)[:, 0] > 0.5

    def overlap(roll: float) -> Tensor:
        other = drawn(vertices(recipe._moved_truth(batch, placement(False, roll=roll))))
        return (picture & other).sum((1, 2)) / (picture | other).sum((1, 2))

    assert overlap(30.0).min() > 0.97
    assert overlap(-30.0).max() < 0.9
    rolls = recipe._moved_truth(batch, turned).camera.angles[:, 2] - batch["pose"][:, 2]
    assert torch.allclose(rolls, torch.full((4,), 30.0), atol=1e-3)


def test_the_truth_has_no_loss(recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    network = Says(output_for(batch))
    ((name, parts),) = recipe.losses({"fitter": network}, batch, torch.Generator().manual_seed(0))
    assert name == "fitter"
    certain = 2 * math.log(USUAL_DEVIATION)
    assert float(parts.pop("likelihood")) == pytest.approx(certain, abs=0.01), "of the deviations alone"
    assert set(parts) == {"vertices", "landmarks", "points", "maps", "shape", "expression"}
    assert {part: round(float(value), 2) for part, value in parts.items()} == dict.fromkeys(parts, 0.0)


@pytest.mark.parametrize("columns", [slice(0, 6), slice(6, 7), slice(7, 9)])
def test_a_wrong_pose_or_camera_has_a_loss(columns: slice, recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    output = output_for(batch)
    ((_, least),) = recipe.losses({"fitter": Says(output)}, batch, torch.Generator().manual_seed(0))
    output[0][:, columns] += 0.3
    ((_, parts),) = recipe.losses({"fitter": Says(output)}, batch, torch.Generator().manual_seed(0))
    assert {part for part, value in parts.items() if value > 1.5 * least[part] + 1e-5} == {"vertices"}


@pytest.mark.parametrize(
    ("part", "other", "columns", "basis"),
    [
        ("shape", "expression", slice(9, 9 + MODEL.shape_size), MODEL.shape_basis),
        ("expression", "shape", slice(9 + MODEL.shape_size, COEFFICIENTS.stop), MODEL.expression_basis),
    ],
)
def test_a_wrong_face_has_a_loss_of_as_many_millimetres(
    part: str, other: str, columns: slice, basis: Tensor, recipe: FitterRecipe, batch: dict[str, Tensor]
) -> None:
    output = output_for(batch)
    output[0][:, columns] += 0.3
    ((_, parts),) = recipe.losses({"fitter": Says(output)}, batch, torch.Generator().manual_seed(0))
    moved = 1000 * (0.3 * basis[:, FACE].sum(0)).norm(dim=-1).square().mean().sqrt()
    assert float(parts[part]) == pytest.approx(2 * float(moved), rel=0.05)
    assert float(parts[other]) < 0.01


def test_coefficients_are_solved_by_the_rows_that_were_just_seen(
    batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitter_recipe, "SOLVED_ROWS", 8)
    recipe, says = FitterRecipe(settings(), CPU), Says(output_for(batch))
    regression = recipe._network.coefficients
    list(recipe.losses({"fitter": says}, batch, torch.Generator().manual_seed(0)))
    assert not regression.weights.any()
    list(recipe.losses({"fitter": says}, batch, torch.Generator().manual_seed(1)))
    found, truth = recipe._network.read(says(batch["crop"])), torch.cat([batch["shape"], batch["expression"]], 1)
    close = regression(found.points[:, telling_points(MODEL)], found.rotation)
    assert (close - truth).norm() < 0.2 * truth.norm()


def test_a_step_may_solve_the_coefficients_and_learn_by_them(
    batch: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitter_recipe, "SOLVED_ROWS", 4)
    torch.manual_seed(0)
    job = settings(steps=3, precision="float32", optimizer={"warmup": 1})
    learner = Learner(FitterRecipe(job, CPU), job, CPU)
    shapes = [learner.learn(batch)["fitter/shape"] for _ in range(3)]
    assert shapes[1] != pytest.approx(shapes[0], rel=1e-3), "by the first step's rows"


def test_points_that_are_off_raise_their_own_losses(recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    off = Says(shifted(output_for(batch)))
    ((_, parts),) = recipe.losses({"fitter": off}, batch, torch.Generator().manual_seed(0))
    expected = 2 * math.log(USUAL_DEVIATION) + 0.5 * (256 / MAP_SIDE / USUAL_DEVIATION) ** 2
    assert float(parts.pop("likelihood")) == pytest.approx(expected, rel=0.02)
    assert {part for part, value in parts.items() if value > 0.01} == {"landmarks", "points", "maps"}
    assert float(parts["points"]) == pytest.approx(256 / MAP_SIDE, rel=0.02)
    # Two Gaussians of one width that are a step apart.
    assert float(parts["maps"]) == pytest.approx(3.0 * 0.5 / MAP_WIDTH**2, rel=0.1)


def test_a_step_learns_the_landmarks_and_some_of_the_dense_points_drawn_anew(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    recipe = FitterRecipe(settings(dense_points=40), CPU)
    network = Remembers(recipe.modules["fitter"])
    for seed in (0, 0, 1):
        ((_, parts),) = recipe.losses({"fitter": network}, batch, torch.Generator().manual_seed(seed))
        assert all(value.isfinite() for value in parts.values())
    first, again, other = (points.tolist() for points in network.asked if points is not None)
    telling = telling_points(MODEL).tolist()
    assert first[: len(telling)] == telling and len(set(first)) == len(telling) + 40
    assert first == again != other
    every = FitterRecipe(settings(dense_points=600), CPU)
    network = Remembers(every.modules["fitter"])
    list(every.losses({"fitter": network}, batch, torch.Generator()))
    assert network.asked == [None]


def test_weights_of_losses_are_factors(batch: dict[str, Tensor]) -> None:
    weights = {"vertices": 0.0, "points": 4.0}
    plain, weighted = FitterRecipe(settings(), CPU), FitterRecipe(settings(losses=weights), CPU)
    said = Says(tuple(torch.zeros_like(part) for part in output_for(batch)))
    ((_, one),) = plain.losses({"fitter": said}, batch, torch.Generator().manual_seed(0))
    ((_, other),) = weighted.losses({"fitter": said}, batch, torch.Generator().manual_seed(0))
    assert other["vertices"] == 0 < one["vertices"]
    assert float(other["points"]) == pytest.approx(4 * float(one["points"]), rel=1e-5)
    assert other["maps"] == one["maps"]


def test_figures_of_the_truth_are_0_and_those_of_other_faces_are_in_their_units(
    recipe: FitterRecipe, batch: dict[str, Tensor]
) -> None:
    figures = recipe.figures(Says(output_for(batch)), batch)
    assert recipe.goal in figures
    for name in ("point_error", "landmark_error", "model_landmark_error", "pose_error", "shape_error"):
        assert figures[name].shape == (4,)
        assert figures[name].max() < 0.02, name
    assert ((figures["mean_shape_error"] > 0.5) & (figures["mean_shape_error"] < 20)).all()
    turned = dict(batch, pose=batch["pose"] + torch.tensor([0.0, 0.0, 6.0]))
    assert torch.allclose(recipe.figures(Says(output_for(turned)), batch)["pose_error"], torch.tensor(2.0), atol=0.02)
    mean = dict(batch, shape=torch.zeros_like(batch["shape"]))
    figures = recipe.figures(Says(output_for(mean)), batch)
    assert torch.allclose(figures["shape_error"], figures["mean_shape_error"], rtol=1e-4)
    assert figures["expression_error"].max() < 0.02
    still = dict(batch, expression=torch.zeros_like(batch["expression"]))
    figures = recipe.figures(Says(output_for(still)), batch)
    assert torch.allclose(figures["expression_error"], figures["still_expression_error"], rtol=1e-4)


def test_calibration_measures_how_points_err(recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    network = network_for(MODEL)
    recipe.calibrate(looks(recipe, batch, 1), network, [batch, batch])
    factors, own = network.noise_factors, network.noise_own
    variance = (256 / MAP_SIDE / USUAL_DEVIATION) ** 2
    assert float(((factors**2).sum(1) + own)[::2].mean()) == pytest.approx(variance, rel=0.05)
    assert ((factors**2).sum(1) + own)[1::2].max() < 0.02 * variance
    assert float(factors[0] @ factors[2]) == pytest.approx(variance, rel=0.1), "all points erred alike"


def test_calibration_solves_the_coefficients_and_measures_how_they_err_on_other_rows(
    recipe: FitterRecipe, batch: dict[str, Tensor]
) -> None:
    network, other = network_for(MODEL), dict(batch, shape=batch["shape"] + 0.5)
    says = looks(recipe, batch)
    truth = torch.cat([batch["shape"], batch["expression"]], 1)
    recipe.calibrate(says, network, [batch, batch])
    found = look_both_ways(network, batch["crop"], says)
    close = network.coefficients(found.points, found.rotation)
    assert (close - truth).norm() < 0.2 * truth.norm()
    alike = network.coefficient_noise.diagonal().clone()
    recipe.calibrate(says, network, [batch, other])
    assert torch.allclose(network.coefficients(found.points, found.rotation), close, atol=1e-4), "by the first half"
    errors = close - torch.cat([other["shape"], other["expression"]], 1)
    assert torch.allclose(network.coefficient_noise.diagonal().float(), errors.square().mean(0), rtol=1e-3, atol=1e-6)
    assert network.coefficient_noise.diagonal().sum() > 2 * alike.sum()


def test_deviations_are_learnt_as_large_as_errors_are() -> None:
    errors = 2.5 * torch.randn(4000, 3, 2, generator=torch.Generator().manual_seed(4))
    deviation = torch.full((3,), 1.0, requires_grad=True)
    optimizer = torch.optim.Adam([deviation], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        negative_log_likelihood(errors, deviation.expand(4000, 3)).backward()
        optimizer.step()
    assert torch.allclose(deviation.detach(), torch.tensor(2.5), rtol=0.05)


def test_each_point_is_mirrored_by_the_one_at_the_mirrored_place() -> None:
    points = mirrored_points(MODEL)
    assert torch.equal(points[points], torch.arange(68 + len(MODEL.dense_landmarks)))
    dense = MODEL.mean[MODEL.dense_landmarks]
    distance = (dense[points[68:] - 68] * torch.tensor([-1.0, 1.0, 1.0]) - dense).norm(dim=-1)
    assert distance.max() < 0.003


def test_a_turn_over_180_degrees_is_a_small_error(recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    there = dict(batch, pose=torch.tensor([[0.0, 0.0, 179.0]] * 4))
    said = dict(there, pose=torch.tensor([[0.0, 0.0, -179.0]] * 4))
    figures = recipe.figures(Says(output_for(said)), there)
    assert torch.allclose(figures["pose_error"], torch.tensor(2 / 3), atol=0.02)


def test_a_few_steps_on_one_batch_make_the_loss_fall(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    job = settings(steps=14, precision="float32", optimizer={"warmup": 2, "learning_rate": 2e-3})
    learner = Learner(FitterRecipe(job, CPU), job, CPU)
    sums = [sum(learner.learn(batch).values()) for _ in range(14)]
    assert min(sums[-3:]) < 0.7 * sums[0]


def test_the_picture_shows_marks_above_the_face(recipe: FitterRecipe, batch: dict[str, Tensor]) -> None:
    picture = recipe.picture(Says(output_for(batch)), batch)
    assert picture.shape == (2 * 256 + 4 * 2 - 4, 4 * 256 + 3 * 4, 3)
    assert picture.dtype == np.uint8
    crop = batch["crop"][0].permute(1, 2, 0).numpy()
    assert 0.01 < (picture[:256, :256] != crop).any(-1).mean() < 0.2
    assert recipe.metadata == {FACE_MODEL: MODEL.fingerprint}


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portraits")
    for name in ("grace_hopper.jpg", "eileen_collins.jpg"):
        shutil.copy(PHOTOS / name, folder)
    return folder


def test_portraits_teach_what_the_first_weights_say_of_them_in_many_looks(
    portraits: Path, batch: dict[str, Tensor]
) -> None:
    moved = AugmentationSettings(**{**STILL.model_dump(), "mirror": True, "roll": 8.0})
    for change in ({"augmentation": STILL}, {"augmentation": moved}, {"dense_points": 40}):
        recipe = FitterRecipe(settings(portraits=portraits, portrait_share=0.5, **change), CPU)
        network = recipe.modules["fitter"].eval()
        losses = []
        for weights in (None, FITTER_WEIGHTS):
            if weights:
                network.load_state_dict(load_weights(weights, MODEL).state_dict())
            network.to(memory_format=torch.channels_last)
            ((_, parts),) = recipe.losses({"fitter": network}, batch, torch.Generator().manual_seed(1))
            assert parts["portraits"].requires_grad
            losses.append(float(parts["portraits"].detach()))
        assert losses[1] < 1.5 < 3 * losses[1] + 3 < losses[0], change


def test_portraits_change_no_other_loss_and_none_of_them_is_drawn_where_the_share_is_0(
    portraits: Path, batch: dict[str, Tensor]
) -> None:
    torch.manual_seed(0)
    network = network_for(MODEL).eval()
    parts = []
    for share in (0.0, 0.5):
        recipe = FitterRecipe(settings(portraits=portraits, portrait_share=share), CPU)
        ((_, found),) = recipe.losses({"fitter": network}, batch, torch.Generator().manual_seed(1))
        parts.append(found)
    assert parts[1].keys() - parts[0].keys() == {"portraits"}
    assert float(parts[1]["shape"].detach()) == pytest.approx(float(parts[0]["shape"].detach()), rel=1e-3)
