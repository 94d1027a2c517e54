"""Training rows with second views that are rendered where they are learnt from."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facerecon_ray.config.reconstruct import FitSettings
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.config.training import NETWORKS
from facerecon_ray.errors import SettingsError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.turned_view import target_angles
from facerecon_ray.synthesis.batched.photographer import COLUMNS
from facerecon_ray.synthesis.batched.surroundings import Surroundings
from facerecon_ray.synthesis.batched.views import draw_views
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.synthesis.rendering.head_scene import SKIN
from facerecon_ray.training.recipes.registry import columns_of
from facerecon_ray.training.rendered_rows import SECOND, RenderedRows

sys.path.insert(0, str(Path(__file__).parents[1] / "synthesis"))
from plain_head import plain_head

MODEL = FaceModel.default()
ROWS = 4


@pytest.fixture(scope="module")
def studio() -> tuple[Wardrobe, Surroundings, FaceModel]:
    head = plain_head()
    skin = replace(head, parts=tuple(replace(part, name=SKIN) for part in head.parts))
    behind = torch.full((1, 3, 16, 16), 90, dtype=torch.uint8)
    around = Surroundings(behind, torch.zeros(0, 4, 1, 1).half(), torch.zeros(0, 2), torch.zeros(0))
    return Wardrobe.of([skin], MODEL), around, MODEL


@pytest.fixture(scope="module")
def rows(studio: tuple[Wardrobe, Surroundings, FaceModel]) -> dict[str, torch.Tensor]:
    views = {"views": {"yaws": [-15.0, 15.0], "yaw_noise": 5.0}, "camera": {"noise": 0.0, "blur_share": 0.0}}
    job = SynthesisJob.model_validate({"output": "unused", **views})
    columns = (*COLUMNS, *SECOND, "true_rotated")
    exact = FitSettings(method="landmarks")
    return RenderedRows(*studio, columns, 128, fit=exact)(draw_views(job, ROWS, 1))


@pytest.mark.parametrize("network", NETWORKS)
def test_every_column_that_a_training_wants_can_be_rendered(
    network: str, studio: tuple[Wardrobe, Surroundings, FaceModel]
) -> None:
    job = NETWORKS[network].model_validate({"data": "unused", "output": "unused"})
    RenderedRows(*studio, columns_of(job), 64)
    with pytest.raises(SettingsError, match="given_landmarks"):
        RenderedRows(*studio, ("crop", "given_landmarks"), 64)


def test_second_views_are_those_of_the_rotate_stage(rows: dict[str, torch.Tensor]) -> None:
    shapes = {"rotated": (3, 256, 256), "rotated_seen": (1, 256, 256), "rotated_head": (1, 256, 256)}
    for name, shape in shapes.items():
        assert rows[name].shape == (ROWS, *shape) and rows[name].dtype == torch.uint8
    assert rows["rotated"].flatten(1).any(1).all()
    assert float((rows["fitted_pose"] - rows["pose"]).abs().max()) < 15.0
    assert rows["rotated_head"].flatten(1).float().mean(1).min() > 0.2 * 255


def test_true_views_show_the_head_where_the_second_view_has_it(rows: dict[str, torch.Tensor]) -> None:
    head = rows["rotated_head"] > 0
    apart = (rows["rotated"].float() - rows["true_rotated"].float()).abs().mean(1, keepdim=True)
    seen = head & (rows["rotated_seen"] > 200)
    unturned = (rows["crop"].float() - rows["true_rotated"].float()).abs().mean(1, keepdim=True)
    assert float(apart[seen].mean()) < 0.6 * float(unturned[seen].mean())
    assert (target_angles(rows["pose"], 30.0, False)[:, 0] - rows["pose"][:, 0]).abs().min() > 20.0
