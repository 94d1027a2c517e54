from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import skimage.data
import torch
from torch import Tensor, nn
from torch.nn import functional

from facerecon_ray.config.training import AugmentationSettings, RotatorLosses, RotatorTraining
from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.turned_view import turn_view
from facerecon_ray.geometry.view_filling import fill_view
from facerecon_ray.networks.fitter import FittedFaces, network_for
from facerecon_ray.training.recipes import rotator
from facerecon_ray.training.recipes.rotator import RotatorRecipe, ThereAndBack

CPU = torch.device("cpu")
STILL = AugmentationSettings(channels=(1.0, 1.0))


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    """Two photos of a mean head in stripes, turned by 30 degrees; the true view is brighter where nothing was seen."""
    model = FaceModel.default()
    x = torch.arange(256.0)
    stripes = 128 + 80 * torch.stack([(x / 9).sin(), (x / 14).sin(), (x / 20).cos()])
    photos = torch.stack([stripes[:, None].expand(3, 256, 256), stripes[:, :, None].expand(3, 256, 256)])
    angles = torch.zeros(2, 3)
    camera = Camera(angles, torch.full((2,), 900.0), torch.full((2, 2), 128.0))
    view = turn_view(model, photos, model.mean.expand(2, -1, -1), camera, angles + torch.tensor([30.0, 0.0, 0.0]))
    rotated = fill_view(view, photos)
    true = (rotated + 60 * (1 - view.seen) * view.head).clamp(0, 255)
    return {
        "crop": photos.byte(),
        "rotated": rotated.clamp(0, 255).byte(),
        "rotated_seen": (255 * view.seen).byte(),
        "rotated_head": (255 * view.head).byte(),
        "true_rotated": true.byte(),
        "pose": angles,
    }


@pytest.fixture(scope="module")
def fitter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights: about the mean face, seen from the front, in the middle of the crop."""
    torch.manual_seed(0)
    model = FaceModel.default()
    path = tmp_path_factory.mktemp("fitter") / "fitter.safetensors"
    network = network_for(model)
    safetensors.torch.save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def settings(fitter: Path) -> Callable[..., RotatorTraining]:
    return partial(RotatorTraining, data="pairs", output="out", fitter=fitter, augmentation=STILL)


class MeanHead:
    """Says of every crop that it shows the mean head from the front, as the photos of `batch` do."""

    def __init__(self, weights: Path | None, model: FaceModel) -> None:
        self._model = model

    def __call__(self, crops: Tensor, lens: Lens) -> Fit:
        rows, model = len(crops), self._model
        shape, expression = (torch.zeros(rows, size) for size in (model.shape_size, model.expression_size))
        nowhere = torch.zeros(rows, 68, 3)
        return Fit(_camera(rows), shape, expression, torch.zeros(rows), torch.ones(rows), nowhere, nowhere)

    def read(self, crops: Tensor) -> FittedFaces:
        rows, model = len(crops), self._model
        landmarks = projected_landmarks(model, model.mean.expand(rows, -1, -1), _camera(rows))[..., :2]
        shape, expression = (torch.zeros(rows, size) for size in (model.shape_size, model.expression_size))
        upright, certain = torch.eye(3).expand(rows, 3, 3), torch.zeros(rows, 68)
        return FittedFaces(_camera(rows), upright, shape, expression, landmarks, certain, certain[:, 0])


def _camera(rows: int) -> Camera:
    """From the front, the face in the middle of the crop."""
    return Camera(torch.zeros(rows, 3), torch.full((rows,), 900.0), torch.full((rows, 2), 128.0))


def _recipe(settings: RotatorTraining) -> RotatorRecipe:
    torch.manual_seed(0)
    return RotatorRecipe(settings, CPU)


def _random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _step(recipe: RotatorRecipe, batch: dict[str, Tensor], optimizers: dict[str, Any]) -> dict[str, dict[str, float]]:
    said = {}
    for name, parts in recipe.losses(recipe.modules, batch, _random()):
        optimizers[name].zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimizers[name].step()
        said[name] = {part: value.item() for part, value in parts.items()}
    return said


def _gradients(recipe: RotatorRecipe, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the generator, which has an output layer that says something."""
    nn.init.normal_(recipe.modules["generator"].get_submodule("output").weight, std=0.02)  # type: ignore[arg-type]
    for module in recipe.modules.values():
        module.zero_grad()
    for _, parts in recipe.losses(recipe.modules, batch, _random()):
        torch.stack(list(parts.values())).sum().backward()
    return {
        f"{name}.{key}": weight.grad
        for name, module in recipe.modules.items()
        for key, weight in module.named_parameters()
        if weight.grad is not None
    }


def test_a_few_steps_bring_the_output_nearer_to_the_true_view(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotator, "NetworkFitter", MeanHead)
    small = {name: column[..., ::2, ::2] if column.ndim == 4 else column for name, column in batch.items()}
    recipe = _recipe(settings())
    optimizers = {name: torch.optim.AdamW(module.parameters(), 5e-4) for name, module in recipe.modules.items()}
    before = recipe.figures(recipe.modules["generator"], small)
    steps = [_step(recipe, small, optimizers) for _ in range(12)]
    after = recipe.figures(recipe.modules["generator"], small)
    assert (after["psnr"] > before["psnr"] + 1).all()
    assert steps[-1]["generator"]["reconstruction"] < 0.98 * steps[0]["generator"]["reconstruction"]
    assert set(steps[0]) == {"discriminator", "generator"}


@pytest.mark.slow
def test_a_few_steps_of_the_identity_alone_make_the_view_more_like_the_person(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotator, "NetworkFitter", MeanHead)
    monkeypatch.setattr(rotator, "JITTER", 0.0)
    face = torch.from_numpy(skimage.data.astronaut()[10:210, 120:320].copy()).permute(2, 0, 1)[None].float()
    crop = functional.interpolate(face, (256, 256), mode="bilinear")
    blurred = functional.interpolate(functional.avg_pool2d(crop, 16), scale_factor=16.0, mode="bilinear")
    one = {name: column[:1] for name, column in batch.items()}
    one |= {"crop": crop.byte(), "rotated": blurred.byte(), "rotated_seen": torch.zeros_like(one["rotated_seen"])}
    nothing_else = {"adversarial": 0.0, "features": 0.0, "reconstruction": 0.0, "seen": 0.0}
    recipe = _recipe(settings(losses=RotatorLosses(identity=10.0, **nothing_else)))
    optimizers = {name: torch.optim.AdamW(module.parameters(), 1e-4) for name, module in recipe.modules.items()}
    before = recipe.figures(recipe.modules["generator"], one)
    steps = [_step(recipe, one, optimizers) for _ in range(16)]
    after = recipe.figures(recipe.modules["generator"], one)
    assert torch.allclose(before["strangeness"], before["strangeness_input"])
    assert after["strangeness"].item() < 0.75 * after["strangeness_input"].item()
    assert steps[-1]["generator"]["identity"] < 0.9 * steps[0]["generator"]["identity"]


def test_a_few_steps_teach_the_discriminator_to_tell_a_generator_that_stays_as_it_is(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    small = {name: column[..., ::2, ::2] if column.ndim == 4 else column for name, column in batch.items()}
    recipe = _recipe(settings())
    optimizer = torch.optim.AdamW(recipe.modules["discriminator"].parameters(), 5e-4)
    hinges = []
    for _ in range(12):
        name, parts = next(recipe.losses(recipe.modules, small, _random()))
        assert name == "discriminator"
        optimizer.zero_grad()
        parts["hinge"].backward()
        optimizer.step()
        hinges.append(parts["hinge"].item())
    assert hinges[-1] < 0.9 * hinges[0]


def test_figures_of_an_untrained_generator_are_those_of_its_input(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    recipe = _recipe(settings())
    figures = recipe.figures(recipe.modules["generator"], batch)
    assert recipe.goal in figures
    for name in ("psnr", "ssim", "l1", "l1_unseen"):
        assert torch.allclose(figures[name], figures[f"{name}_input"])
        assert torch.equal(figures[name], figures[f"{name}@"])
    assert ((figures["l1"] > 0.01) & (figures["l1"] < 0.2)).all()


def test_rows_without_pictures_do_not_matter(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotator, "NetworkFitter", MeanHead)
    monkeypatch.setattr(rotator, "JITTER", 0.0)
    alone = _gradients(_recipe(settings()), batch)
    with_empty = {name: torch.cat([column, torch.zeros_like(column)]) for name, column in batch.items()}
    beside = _gradients(_recipe(settings()), with_empty)
    assert alone.keys() == beside.keys()
    for name, gradient in alone.items():
        assert torch.allclose(gradient, beside[name], rtol=1e-2, atol=1e-5 + 1e-3 * gradient.abs().max().item()), name
    figures = _recipe(settings()).figures(_recipe(settings()).modules["generator"], with_empty)
    assert all(values.isnan().tolist() == [False, False, True, True] for values in figures.values())


def test_a_batch_without_any_picture_teaches_nothing(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    nothing = {name: torch.zeros_like(column) for name, column in batch.items()}
    for regime in ("supervised", "both"):
        gradients = _gradients(_recipe(settings(regime=regime)), nothing)
        assert gradients
        assert not any(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("regime", ["self-supervised", "both"])
def test_photos_alone_teach_the_generator(
    regime: str, batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    photos = dict(batch)
    for name in ("rotated", "rotated_seen", "rotated_head", "true_rotated"):
        photos[name] = torch.zeros_like(batch[name])
    recipe = _recipe(settings(regime=regime))
    gradients = _gradients(recipe, photos)
    of_generator = {name: g for name, g in gradients.items() if name.startswith("generator")}
    assert len(of_generator) == len(list(recipe.modules["generator"].parameters()))
    assert all(gradient.isfinite().all() and gradient.any() for gradient in of_generator.values())
    figures = recipe.figures(recipe.modules["generator"], photos)
    assert all(figures[name].isfinite().all() for name in ("l1", recipe.goal))


def test_there_and_back_returns_what_stayed_in_sight(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotator, "NetworkFitter", MeanHead)
    crops = batch["crop"].float() / 255
    lessons = ThereAndBack(settings(regime="self-supervised"), CPU)(crops)
    assert lessons.valid.all()
    assert torch.equal(lessons.target, crops)
    error = (lessons.filled - crops).abs().mean(1, keepdim=True)
    sure, lost = lessons.seen > 0.95, (lessons.seen < 0.05) & (lessons.head > 0)
    assert 0.2 < sure.sum() / lessons.head.sum() < 0.95
    assert lost.sum() / lessons.head.sum() > 0.05
    assert error[sure].mean() < 0.03
    assert error[lost].mean() > 3 * error[sure].mean()


def test_the_discriminator_learns_in_its_own_step_only(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    recipe = _recipe(settings())
    steps = recipe.losses(recipe.modules, batch, _random())
    name, parts = next(steps)
    assert name == "discriminator"
    torch.stack(list(parts.values())).sum().backward()
    assert all(weight.grad is None for weight in recipe.modules["generator"].parameters())
    recipe.modules["discriminator"].zero_grad()
    name, parts = next(steps)
    assert name == "generator"
    torch.stack(list(parts.values())).sum().backward()
    assert all(weight.grad is None for weight in recipe.modules["discriminator"].parameters())
    assert all(weight.requires_grad for weight in recipe.modules["discriminator"].parameters())


def test_all_pictures_of_a_row_are_changed_alike(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    same = {name: batch["crop"].clone() for name in ("crop", "rotated", "true_rotated")}
    many = {name: torch.cat([column] * 4) for name, column in {**batch, **same}.items()}
    recipe = _recipe(settings(augmentation=AugmentationSettings(mirror=True, channels=(0.5, 1.5))))
    changed = recipe._augmented(many, _random())
    assert torch.equal(changed["crop"], changed["rotated"])
    assert torch.equal(changed["crop"], changed["true_rotated"])
    mirrored = [
        not torch.equal(a, b) for a, b in zip(changed["rotated_head"], many["rotated_head"] / 255, strict=True)
    ]
    assert 0 < sum(mirrored) < len(mirrored)
    factor = changed["crop"].mean((2, 3)) / (many["crop"] / 255).mean((2, 3))
    assert factor.std(0).min() > 0.02


def test_picture_shows_crop_view_repair_and_truth(
    batch: dict[str, Tensor], settings: Callable[..., RotatorTraining]
) -> None:
    recipe = _recipe(settings())
    without_first = {name: torch.cat([torch.zeros_like(column[:1]), column]) for name, column in batch.items()}
    picture = recipe.picture(recipe.modules["generator"], without_first)
    assert picture.shape == (3 * 256, 4 * 256, 3)
    assert picture.dtype == np.uint8
    shown = [batch[name][0].permute(1, 2, 0).numpy() for name in ("crop", "rotated", "rotated", "true_rotated")]
    assert np.array_equal(picture[:256], np.concatenate(shown, 1))


@pytest.mark.parametrize("regime", ["supervised", "both"])
def test_missing_fitter_weights_are_one_clear_error(
    regime: str, settings: Callable[..., RotatorTraining], tmp_path: Path
) -> None:
    with pytest.raises(AssetError, match="fitter weights"):
        _recipe(settings(regime=regime, fitter=tmp_path / "nothing.safetensors"))
