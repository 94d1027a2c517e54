import io

import cv2
import numpy as np
import pytest
import torch
import trimesh

from facerecon_ray.config.reconstruct import ExportSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.surface import Surface
from facerecon_ray.stages.export import Exporter
from facerecon_ray.stages.stage import FAILED, OK, Batch
from facerecon_ray.storage.pairs.pair_codec import pack_image

RED, BLUE = (220, 20, 30), (20, 30, 220)


def exported_batch(
    pose: tuple[float, float, float] = (10.0, -5.0, 15.0), nearness: float = 0.0, ray: tuple[float, float] = (0.0, 0.0)
) -> Batch:
    """One mean head whose crop is red on the subject's right half of the face and blue on the left."""
    model = FaceModel.default()
    place = (torch.tensor([900.0]), torch.tensor([[128.0, 120.0]]), torch.tensor([nearness]), torch.tensor([ray]))
    camera = Camera(torch.tensor([pose]), *place)
    layout = UvLayout.of(model)
    maps = layout.position_map(camera.project(model.mean[None]))
    chin_and_brow = camera.project(torch.tensor([[[0.0, -0.2, 0.05], [0.0, 0.2, 0.05]]]))[0, :, :2].numpy()
    (x0, y0), (x1, y1) = chin_and_brow
    y, x = np.mgrid[:256, :256] + 0.5
    right = x - x0 - (y - y0) * (x1 - x0) / (y1 - y0) < 0
    crop = np.where(right[..., None], np.uint8(RED), np.uint8(BLUE))
    return {
        "status": np.array([OK], object),
        "error": np.array([""], object),
        "crop": crop[None],
        "rotated": np.full((1, 256, 256, 3), 7, np.uint8),
        "position_map": maps.half().numpy(),
        "crop_transform": np.float32([[[0.5, 0.0, -20.0], [0.0, 0.5, -30.0]]]),
        "photo_width": np.array([600]),
        "photo_height": np.array([600]),
        "pose": np.float32([pose]),
        "camera": camera.row.numpy(),
    }


def load(contents: bytes, kind: str) -> trimesh.Trimesh:
    loaded = trimesh.load(io.BytesIO(contents), file_type=kind, process=False)
    if isinstance(loaded, trimesh.Scene):
        (loaded,) = loaded.geometry.values()
    return loaded


@pytest.mark.parametrize(("kind", "unit"), [("glb", 1.0), ("obj", 1000.0), ("ply", 1000.0)])
def test_mesh_is_the_face_in_its_own_frame_with_the_photos_colours(kind: str, unit: float) -> None:
    result = Exporter(ExportSettings(format=kind, topology="model"))(exported_batch())
    assert result["error"][0] == ""
    mesh = load(result["mesh"][0], kind)
    model = FaceModel.default()
    expected = model.mean[model.face_vertices].numpy()
    assert np.linalg.norm(mesh.vertices / unit - expected, axis=1).mean() < 0.0005
    assert np.array_equal(mesh.faces, UvLayout.of(model).triangles.numpy())
    colours = np.asarray((mesh.visual.to_color() if kind == "glb" else mesh.visual).vertex_colors)[:, :3]
    frontal = mesh.vertex_normals[:, 2] > 0.7
    for side, colour in ((expected[:, 0] < -0.01, RED), (expected[:, 0] > 0.01, BLUE)):
        error = np.abs(colours[side & frontal].astype(int) - colour).max(1)
        assert np.median(error) < 10
        # Creases that the camera hardly sees take some colour from the other side.
        assert (error < 60).mean() > 0.8


def test_pose_does_not_change_the_mesh() -> None:
    exporter = Exporter(ExportSettings(topology="model"))
    first, second = (exporter.meshes(exported_batch(pose), "dense")[0] for pose in ((0, 0, 0), (35, -20, 30)))
    assert np.linalg.norm(first.vertices - second.vertices, axis=1).max() < 0.0004
    np.testing.assert_allclose(np.linalg.norm(first.normals, axis=1), 1.0, atol=1e-5)


def test_the_mesh_of_a_near_face_has_the_persons_form_and_not_the_pictures() -> None:
    exporter = Exporter(ExportSettings(topology="model"))
    selfie = exporter.meshes(exported_batch((20, -5, 10), 1 / 0.3, (0.3, -0.2)), "model")[0]
    expected = FaceModel.default().mean[FaceModel.default().face_vertices].numpy()
    assert np.linalg.norm(selfie.vertices - expected, axis=1).mean() < 0.0005


def test_dense_mesh_has_one_vertex_for_each_pixel_of_the_mask() -> None:
    result = Exporter(ExportSettings(topology="dense"))(exported_batch())
    mesh = load(result["mesh"][0], "glb")
    layout = UvLayout.of(FaceModel.default())
    assert len(mesh.vertices) == int(layout.mask.sum())
    assert len(mesh.faces) == len(layout.grid_triangles)
    tip = mesh.vertices[:, 2].argmax()
    assert mesh.vertex_normals[tip, 2] > 0.7
    assert abs(mesh.vertices[tip, 0]) < 0.01
    assert (mesh.face_normals * mesh.vertex_normals[mesh.faces[:, 0]]).sum(1).mean() > 0.95


def test_viewer_mesh_is_a_small_glb_whatever_the_format() -> None:
    result = Exporter(ExportSettings(format="ply"))(exported_batch())
    viewer = load(result["viewer"][0], "glb")
    assert len(viewer.vertices) == len(FaceModel.default().face_vertices)
    assert len(result["viewer"][0]) < 250_000


def test_the_default_mesh_is_small_and_its_surface_is_the_dense_ones() -> None:
    """300 KB with a texture as large as they come, full of noise."""
    batch = exported_batch()
    noise = np.random.default_rng(0).normal(128, 20, (1024, 1024, 3)).clip(0, 255).astype(np.uint8)
    small = Exporter(ExportSettings())({**batch, "detail": np.array([pack_image(noise, "jpeg")], object)})["mesh"][0]
    assert len(small) < 300_000
    dense = Exporter(ExportSettings()).meshes(batch, "dense")[0]
    mesh = load(small, "glb")
    apart = Surface(mesh.vertices, mesh.faces).distance(dense.vertices)
    assert np.sqrt((apart**2).mean()) < 0.0002
    assert apart.max() < 0.001


@pytest.mark.parametrize(("kind", "topology"), [("glb", "smooth"), ("obj", "dense"), ("ply", "dense")])
def test_files_have_a_texture_or_as_many_vertices_as_colours_ask_for(kind: str, topology: str) -> None:
    batch = exported_batch()
    mesh = load(Exporter(ExportSettings(format=kind, previews=False))(batch)["mesh"][0], kind)
    assert len(mesh.vertices) == len(Exporter(ExportSettings()).meshes(batch, topology)[0].vertices)


def test_the_texture_is_as_fine_as_the_photo_shows_the_face() -> None:
    batch = exported_batch()
    detail = cv2.resize(batch["crop"][0], (512, 512), interpolation=cv2.INTER_NEAREST)
    result = Exporter(ExportSettings())({**batch, "detail": np.array([pack_image(detail, "jpeg")], object)})
    assert "detail" not in result
    texture = np.asarray(load(result["mesh"][0], "glb").visual.material.baseColorTexture).astype(int)
    assert texture.shape == (512, 512, 3)
    coarse = Exporter(ExportSettings()).meshes(batch, "smooth")[0].texture
    assert coarse.shape == (256, 256, 3)
    assert np.median(np.abs(cv2.resize(coarse, (512, 512)) - texture)) < 3


def test_landmarks_3d_are_the_fitted_landmarks_in_photo_pixels() -> None:
    batch = exported_batch()
    found = Exporter(ExportSettings(topology="model"))(batch)["landmarks_3d"][0]
    model = FaceModel.default()
    camera = Camera.from_row(torch.from_numpy(batch["pose"]), torch.from_numpy(batch["camera"]))
    expected = projected_landmarks(model, model.mean[None], camera)[0].numpy()
    expected[:, :2] = (expected[:, :2] + (20, 30)) / 0.5
    expected[:, 2] /= 0.5
    assert np.linalg.norm(found - expected, axis=1).max() < 3.0
    assert np.linalg.norm(found - expected, axis=1).mean() < 0.8


def test_preview_starts_with_the_crop_and_holds_the_rotated_view() -> None:
    batch = exported_batch()
    result = Exporter(ExportSettings(topology="model"))(batch)
    picture = cv2.imdecode(np.frombuffer(result["preview"][0], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert picture.shape == (512, 768, 3)
    assert np.abs(picture[:256, :256].astype(int) - batch["crop"][0]).mean() < 4
    assert np.abs(picture[:256, 512:].astype(int) - batch["rotated"][0]).mean() < 2


def test_no_preview_when_none_is_wanted() -> None:
    result = Exporter(ExportSettings(topology="model", previews=False))(exported_batch())
    assert result["preview"][0] == b""
    assert result["mesh"][0]


def test_a_row_that_failed_before_gets_no_files() -> None:
    batch = {name: np.repeat(values, 2, 0) for name, values in exported_batch().items()}
    batch["status"][1] = FAILED
    result = Exporter(ExportSettings(topology="model"))(batch)
    assert [bool(result[name][0]) for name in ("mesh", "preview", "viewer")] == [True, True, True]
    assert [result[name][1] for name in ("mesh", "preview", "viewer")] == [b"", b"", b""]
