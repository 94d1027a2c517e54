import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from facerecon_ray.config.training import AugmentationSettings, PrnetTraining, TwoViewTraining
from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.networks.two_view import CORRECTION
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.recipes.position_maps import PositionMapRecipe, map_weights

sys.path.insert(0, str(Path(__file__).parents[1]))
from training_pairs import as_batch, face_rows, layout

CPU = torch.device("cpu")
STILL = AugmentationSettings(channels=(1.0, 1.0), contrast=0, grey_share=0, blur_share=0, noise=0, erase_share=0)
MODEL = FaceModel.default()

two_view = partial(TwoViewTraining, data="pairs", output="out", augmentation=STILL)
prnet = partial(PrnetTraining, data="pairs", output="out", augmentation=STILL)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    return as_batch(face_rows(0))


@pytest.fixture(scope="module")
def recipe() -> PositionMapRecipe:
    """The two-view network with a fit."""
    torch.manual_seed(0)
    return PositionMapRecipe(two_view(), CPU)


class Says(torch.nn.Module):
    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, views: Tensor) -> Tensor:
        self.seen = views
        return self.output


def test_an_untrained_network_with_a_fit_gives_the_fit_but_for_small_corrections(
    recipe: PositionMapRecipe, batch: dict[str, Tensor]
) -> None:
    network = recipe.modules["two-view"].eval()
    fitted, _ = recipe._seen(recipe._plain(batch), batch)
    with torch.no_grad():
        maps = recipe._maps(network, recipe._plain(batch), batch)
    assert 0 < (maps - fitted).abs().max() <= CORRECTION / 2
    assert (maps - fitted).abs().mean() < 0.03
    figures = recipe.figures(network, batch)
    assert figures["nme_fit"].max() < 0.002 < figures["nme"].min()


def test_the_fits_map_is_the_true_one_where_the_fit_is_the_truth(
    recipe: PositionMapRecipe, batch: dict[str, Tensor]
) -> None:
    fitted, _ = recipe._seen(recipe._plain(batch), batch)
    assert torch.allclose(fitted, batch["position_map"].float(), atol=2e-3)


def test_a_network_that_corrects_nothing_has_the_fits_loss(
    recipe: PositionMapRecipe, batch: dict[str, Tensor]
) -> None:
    network = Says(torch.full((2, 3, 256, 256), 0.5))
    random = torch.Generator().manual_seed(0)
    ((name, parts),) = recipe.losses({"two-view": network}, batch, random)
    assert (name, list(parts)) == ("two-view", ["map"])
    assert parts["map"] < 1e-3
    assert network.seen.shape == (2, 9, 256, 256)
    unchanged = recipe._seen(recipe._plain(batch), batch)[1]
    assert torch.allclose(network.seen, unchanged, atol=1e-5), "STILL changes nothing"
    network.output = network.output + 0.04 / CORRECTION
    ((_, parts),) = recipe.losses({"two-view": network}, batch, random)
    assert float(parts["map"]) == pytest.approx(1000 * 0.04**2, rel=0.05)


@pytest.mark.parametrize("fit", [True, False])
def test_rows_without_a_rotated_view_do_not_count(fit: bool, batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    recipe = PositionMapRecipe(two_view(fit=fit), CPU)
    lost = {name: column.clone() for name, column in batch.items()}
    lost["rotated"][1] = 0
    for name in ("pose", "camera", "shape", "expression"):
        lost[f"fitted_{name}"][1] = torch.nan
    maps = Says(torch.full((2, 3, 256, 256), 0.45))
    ((_, parts),) = recipe.losses({"two-view": maps}, lost, torch.Generator().manual_seed(0))
    first = {name: column[:1] for name, column in batch.items()}
    ((_, alone),) = recipe.losses({"two-view": Says(maps.output[:1])}, first, torch.Generator().manual_seed(0))
    assert float(parts["map"]) == pytest.approx(float(alone["map"]), rel=1e-5)
    figures = recipe.figures(maps, lost)
    assert all(values.isnan().tolist() == [False, True] for values in figures.values())
    lost["rotated"][0] = 0
    ((_, none),) = recipe.losses({"two-view": maps}, lost, torch.Generator().manual_seed(0))
    assert none["map"] == 0


def test_without_a_fit_the_network_says_the_map_itself(batch: dict[str, Tensor]) -> None:
    recipe = PositionMapRecipe(two_view(fit=False), CPU)
    network = Says(batch["position_map"].float())
    assert not [name for name in recipe.columns if name.startswith("fitted")]
    assert recipe.metadata == {}
    figures = recipe.figures(network, batch)
    assert network.seen.shape == (2, 6, 256, 256)
    assert set(figures) == {"nme", "nme@", "nme_2d"}
    assert figures["nme"].max() < 1e-6
    network.output = network.output + torch.tensor([0.0, 0.0, 0.01])[:, None, None]
    figures = recipe.figures(network, batch)
    extent = batch["landmarks_3d"][:, :, :2].amax(1) - batch["landmarks_3d"][:, :, :2].amin(1)
    assert torch.allclose(figures["nme"], 2.56 / extent.prod(-1).sqrt(), rtol=1e-3)
    assert figures["nme_2d"].max() < 1e-6


def test_prnet_sees_the_crop_alone(batch: dict[str, Tensor]) -> None:
    recipe = PositionMapRecipe(prnet(), CPU)
    assert "rotated" not in recipe.columns
    network = Says(batch["position_map"].float())
    ((name, parts),) = recipe.losses({"prnet": network}, batch, torch.Generator().manual_seed(0))
    assert name == "prnet" and parts["map"] < 1e-6
    assert network.seen.shape == (2, 3, 256, 256)


@pytest.mark.slow
def test_a_few_steps_on_one_batch_make_the_loss_fall(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    job = two_view(steps=8, precision="float32", optimizer={"warmup": 0, "learning_rate": 1e-3})
    learner = Learner(PositionMapRecipe(job, CPU), job, CPU)
    losses = [learner.learn(batch)["two-view/map"] for _ in range(8)]
    assert min(losses[-2:]) < 0.6 * losses[0]


def test_regions_have_prnets_weights() -> None:
    weights = map_weights(MODEL, "regions")
    assert sorted(weights[layout().mask].unique().tolist()) == [3.0, 4.0, 16.0]
    assert not weights[~layout().mask].any()
    assert 51 <= (weights == 16).sum() <= 68
    nose_tip = 30 - 17
    column, row = (
        (MODEL.uv[MODEL.landmark_corners] * MODEL.landmark_weights[..., None]).sum(1)[nose_tip] * MAP_SIZE
    ).long()
    assert weights[row, column] == 16
    assert 0.02 < (weights == 4).float().mean() < 0.6
    of_pixel = torch.zeros(MAP_SIZE, MAP_SIZE, dtype=torch.long)
    corner_regions = MODEL.regions.long()[layout().vertices][layout().corners]
    of_pixel[layout().mask] = corner_regions[:, 0]
    inside = torch.zeros(MAP_SIZE, MAP_SIZE, dtype=torch.bool)
    inside[layout().mask] = (corner_regions == corner_regions[:, :1]).all(-1)
    for region, weight in (("nose", 4.0), ("lips", 4.0), ("skin", 3.0)):
        found = weights[inside & (of_pixel == REGIONS.index(region)) & (weights != 16)]
        assert len(found) and (found == weight).all(), region


def test_pixels_outside_of_the_face_do_not_count() -> None:
    smaller = replace(MODEL, uv=0.1 + 0.8 * MODEL.uv)
    mask = UvLayout.of(smaller).mask
    assert 0.6 < mask.float().mean() < 0.7
    for kind in ("uniform", "regions"):
        weights = map_weights(smaller, kind)
        assert (weights[~mask] == 0).float().mean() > 0.99
        assert (weights[mask] > 0).all()
    assert map_weights(smaller, "uniform").unique().tolist() == [0.0, 1.0]


def test_the_picture_shows_views_meshes_and_the_error(recipe: PositionMapRecipe, batch: dict[str, Tensor]) -> None:
    picture = recipe.picture(Says(torch.full((2, 3, 256, 256), 0.5)), batch)
    assert picture.shape == (5 * 260 - 4, 2 * 256 + 4, 3)
    views = np.concatenate([batch[name][0].permute(1, 2, 0).numpy() for name in ("crop", "rotated")])
    assert np.array_equal(picture[:256, :256], views[:256])
    assert np.array_equal(picture[260:516, :256], views[256:])
    dark = {**batch, "crop": torch.zeros_like(batch["crop"])}
    picture = recipe.picture(Says(torch.full((2, 3, 256, 256), 0.5)), dark)
    found, true = (picture[top : top + 256, :256].any(-1) for top in (520, 780))
    assert 0.05 < true.mean() < 0.9
    assert (found & true).sum() / (found | true).sum() > 0.97
    assert picture[1040:, :256].max() < 60
    wrong = recipe.picture(Says(torch.full((2, 3, 256, 256), 0.9)), dark)
    assert wrong[1040:, :256].mean() > 100
