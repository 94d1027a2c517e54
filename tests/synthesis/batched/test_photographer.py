from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import AssetError, SettingsError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.synthesis.batched import photographer as module
from facerecon_ray.synthesis.batched.photographer import COLUMNS, BatchedPhotographer
from facerecon_ray.synthesis.batched.surroundings import Surroundings
from facerecon_ray.synthesis.batched.views import draw_views
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.synthesis.rendering.head_scene import HeadScene

MODEL = FaceModel.default()
ROWS = 8


@pytest.fixture(scope="module")
def dark() -> Surroundings:
    """Black behind the heads, nothing before them."""
    black = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    return Surroundings(black, torch.zeros(0, 4, 1, 1).half(), torch.zeros(0, 2), torch.zeros(0))


@pytest.fixture(scope="module")
def batch(wardrobe: Wardrobe, dark: Surroundings, job: SynthesisJob) -> dict[str, torch.Tensor]:
    return BatchedPhotographer(wardrobe, dark, MODEL, size=128)(draw_views(job, ROWS, 1))


def heads(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, Camera]:
    return MODEL.vertices(batch["shape"], batch["expression"]), Camera.from_row(batch["pose"], batch["camera"])


def test_landmarks_are_where_the_rows_own_camera_and_coefficients_put_them(batch: dict[str, torch.Tensor]) -> None:
    vertices, camera = heads(batch)
    found = projected_landmarks(MODEL, vertices, camera)
    apart = (found - batch["landmarks_3d"])[..., :2].norm(dim=-1)
    assert float(apart.mean()) < 0.8, "the photo's perspective from 5 m is what remains"
    assert batch["pose"][:, 0].min() < -45 and batch["pose"][:, 0].max() > 45


def test_the_drawn_heads_are_where_the_rows_say(
    scenes: list[HeadScene], dark: Surroundings, job: SynthesisJob
) -> None:
    heads_alone = [
        replace(scene, parts=tuple(part for part in scene.parts if part.name in ("skin", "eyes", "mouth")))
        for scene in scenes[:2]
    ]
    bare = Wardrobe.of(heads_alone, MODEL)
    batch = BatchedPhotographer(bare, dark, MODEL, size=128)(draw_views(job, ROWS, 1))
    vertices, camera = heads(batch)
    expected = rasterize(camera.project(vertices), MODEL.closed_triangles, 256, 256, cull_back=True).mask
    seen = batch["crop"].amax(1) > 5
    assert ((expected & seen).sum((1, 2)) / (expected | seen).sum((1, 2)) > 0.96).all()


def test_dense_landmarks_are_the_models_vertices_where_it_has_any(
    wardrobe: Wardrobe, dark: Surroundings, job: SynthesisJob, batch: dict[str, torch.Tensor]
) -> None:
    assert batch["dense_landmarks"].shape == (ROWS, len(MODEL.dense_landmarks), 2)
    dense = replace(MODEL, dense_landmarks=MODEL.face_vertices[::9])
    rows = BatchedPhotographer(wardrobe, dark, dense, size=64)(draw_views(job, 2, 1))
    vertices, camera = heads(rows)
    apart = rows["dense_landmarks"] - camera.project(vertices)[:, dense.dense_landmarks, :2]
    assert float(apart.norm(dim=-1).mean()) < 0.8


def test_position_maps_hold_the_points_of_the_picture(batch: dict[str, torch.Tensor]) -> None:
    layout = module.UvLayout.of(MODEL)
    points = layout.vertices_from_map(batch["position_map"].permute(0, 2, 3, 1))
    vertices, camera = heads(batch)
    apart = (points - camera.project(vertices)[:, layout.vertices])[..., :2].norm(dim=-1)
    assert float(apart.median()) < 0.8


def test_every_head_has_a_shape_of_its_own_that_varies_as_those_in_the_wardrobe(
    wardrobe: Wardrobe, dark: Surroundings, job: SynthesisJob, shapes: torch.Tensor, batch: dict[str, torch.Tensor]
) -> None:
    assert torch.allclose(wardrobe.shape, shapes, atol=0.15), "the surfaces' own coefficients"
    assert len(torch.cdist(batch["shape"], wardrobe.shape).amin(1).round(decimals=3).unique()) > 3
    mixed = BatchedPhotographer(wardrobe, dark, MODEL, ("pose",))._mixed
    many = torch.randn(4000, MODEL.shape_size) + wardrobe.shape.mean(0)
    assert float(mixed(many[:2000], many[2000:]).std(0).mean()) == pytest.approx(1.0, abs=0.02)


def test_the_same_views_give_the_same_rows(wardrobe: Wardrobe, dark: Surroundings, job: SynthesisJob) -> None:
    make, views = BatchedPhotographer(wardrobe, dark, MODEL, ("crop", "pose"), size=64), draw_views(job, 2, 9)
    first, second = make(views), make(views)
    assert set(first) == {"crop", "pose"} and all(torch.equal(first[name], second[name]) for name in first)


def test_columns_that_cannot_be_made_are_refused(wardrobe: Wardrobe, dark: Surroundings) -> None:
    with pytest.raises(SettingsError, match="no true_rotated; train from data in files"):
        BatchedPhotographer(wardrobe, dark, MODEL, (*COLUMNS, "true_rotated"))


def test_a_wardrobe_comes_back_from_its_file_and_others_are_refused(scenes: list[HeadScene], tmp_path: Path) -> None:
    wardrobe = Wardrobe.of(scenes[:1], MODEL)
    wardrobe.save(tmp_path / "heads.npz")
    loaded = Wardrobe.load(tmp_path / "heads.npz", MODEL)
    for name, value in vars(wardrobe).items():
        assert torch.equal(getattr(loaded, name), value) and getattr(loaded, name).dtype == value.dtype, name
    MODEL.save(tmp_path / "model.npz")
    with pytest.raises(AssetError, match="is no wardrobe"):
        Wardrobe.load(tmp_path / "model.npz", MODEL)
    with pytest.raises(AssetError, match="does not exist"):
        Wardrobe.load(tmp_path / "none.npz", MODEL)
