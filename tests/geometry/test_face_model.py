from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import REGIONS, TEXTS, FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.mesh_topology import boundary_loops, triangle_parts


def test_model_is_written_and_read_back_the_same(tmp_path: Path) -> None:
    model = FaceModel.default()
    model.save(tmp_path / "model.npz")
    again = FaceModel.load(tmp_path / "model.npz")
    for field in fields(FaceModel):
        ours, theirs = getattr(model, field.name), getattr(again, field.name)
        if field.name in TEXTS:
            assert ours == theirs
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_expressions_have_arkits_names_and_dense_landmarks_are_on_both_sides() -> None:
    model = FaceModel.default()
    assert len(model.expression_names) == model.expression_size == 51
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp"} <= set(model.expression_names)
    dense = model.dense_landmarks
    assert len(dense) == 600
    assert torch.isin(dense, model.face_vertices).all()
    assert torch.isin(model.mirror[dense], dense).all()


def test_names_of_expressions_and_dense_landmarks_are_kept_and_older_files_have_none(tmp_path: Path) -> None:
    model = FaceModel.default()
    names = tuple(f"blendshape {number}" for number in range(model.expression_size))
    replace(model, expression_names=(), dense_landmarks=torch.zeros(0, dtype=torch.int64)).save(tmp_path / "old.npz")
    older = FaceModel.load(tmp_path / "old.npz")
    assert older.expression_names == ()
    assert len(older.dense_landmarks) == 0
    replace(older, expression_names=names, dense_landmarks=torch.tensor([3, 14, 15])).save(tmp_path / "newer.npz")
    newer = FaceModel.load(tmp_path / "newer.npz")
    assert newer.expression_names == names
    assert newer.dense_landmarks.tolist() == [3, 14, 15]
    assert newer.fingerprint == FaceModel.default().fingerprint, "weights for a model are not refused for its names"


def test_missing_and_foreign_files_are_asset_errors(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="does not exist"):
        FaceModel.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no arrays here")
    with pytest.raises(AssetError, match="is no face model"):
        FaceModel.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", mean=np.zeros((4, 3)))
    with pytest.raises(AssetError, match="shape_basis"):
        FaceModel.load(tmp_path / "other.npz")


def test_mean_face_has_the_size_of_a_person() -> None:
    model = FaceModel.default()
    face = model.mean[model.face_vertices]
    width, height, _ = (face.amax(0) - face.amin(0)).tolist()
    assert 0.12 < width < 0.18
    assert 0.14 < height < 0.20
    landmarks = landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3))[0]
    between_eyes = (landmarks[36:42].mean(0) - landmarks[42:48].mean(0)).norm().item()
    assert 0.055 < between_eyes < 0.07, "people's eyes are 54 to 74 mm apart"


def test_face_region_is_open_at_the_mouth_and_the_head_at_the_neck_too() -> None:
    model = FaceModel.default()
    face = model.triangles[model.face_triangles].numpy()
    lips, outline = sorted(boundary_loops(face), key=len)
    assert len(set(triangle_parts(face))) == 1
    neck, mouth = sorted(boundary_loops(model.triangles.numpy()), key=lambda loop: float(model.mean[loop, 1].max()))
    assert set(mouth) == set(lips) and len(outline) > len(lips)
    # Lips that are closed nearly touch: 12 mm are half of an open mouth.
    assert np.ptp(model.mean[mouth][:, 1].numpy()) < 0.012
    assert model.mean[neck][:, 1].max() < model.mean[model.face_vertices][:, 1].min() + 0.02


def test_mean_is_mirror_symmetric() -> None:
    model = FaceModel.default()
    mirrored = model.mean[model.mirror] * torch.tensor([-1.0, 1.0, 1.0])
    assert (mirrored - model.mean).norm(dim=-1).max() < 0.003
    landmarks = landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3))[0]
    assert abs(landmarks[30, 0]) < 0.001
    assert (landmarks[36, 0] + landmarks[45, 0]).abs() < 0.001


def test_eyes_and_mouth_are_where_their_landmarks_are() -> None:
    model = FaceModel.default()
    landmarks = landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3))[0]
    for name, points in (("right_eye", range(36, 42)), ("left_eye", range(42, 48)), ("mouth", range(60, 68))):
        region = model.mean[model.regions == REGIONS.index(name)].mean(0)
        assert (landmarks[list(points)].mean(0) - region).norm() < 0.008, name


def test_opening_the_jaw_moves_the_chin_down_and_leaves_the_forehead() -> None:
    model = FaceModel.default()
    landmarks = landmarks_on_vertices(model, model.mean[None], torch.zeros(1, 3))[0]
    moves = landmarks_on_vertices(
        model, model.mean + 3 * model.expression_basis, torch.zeros(model.expression_size, 3)
    )
    drop = landmarks[57, 1] - moves[:, 57, 1]
    most = drop.argmax()
    assert drop[most] > 0.008
    assert (moves[most, 17:27] - landmarks[17:27]).norm(dim=-1).max() < 0.003


def test_shape_coefficients_are_standard_deviations() -> None:
    model = FaceModel.default()
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(300, model.shape_size, generator=generator)
    heads = model.vertices(shape, torch.zeros(300, model.expression_size))[:, model.face_vertices]
    spread = (heads - model.mean[model.face_vertices]).norm(dim=-1).mean().item()
    assert 0.002 < spread < 0.008, "faces differ from the mean by some millimetres"
