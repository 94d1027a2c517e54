import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import open3d as o3d
import pytest
import torch
import trimesh
from scipy.spatial import KDTree

sys.path.insert(0, str(Path(__file__).parent))
from ramp_face import ramp_face

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.storage.mesh_files import FORMATS, TEXTURE_BYTES, MeshFormat, encode_mesh, glb_texture

METRES = {"glb": 1.0, "obj": 1000.0, "ply": 1000.0}


@pytest.fixture(scope="module")
def mesh() -> TexturedMesh:
    return ramp_face()


def load(mesh: TexturedMesh, kind: MeshFormat) -> trimesh.Trimesh:
    loaded = trimesh.load(io.BytesIO(encode_mesh(mesh, kind)), file_type=kind, process=False)
    if isinstance(loaded, trimesh.Scene):
        (loaded,) = loaded.geometry.values()
    return loaded


@pytest.mark.parametrize("kind", FORMATS)
def test_geometry_survives_the_file_in_its_unit(mesh: TexturedMesh, kind: MeshFormat) -> None:
    loaded = load(mesh, kind)
    assert loaded.vertices.shape == mesh.vertices.shape
    assert np.array_equal(loaded.faces, mesh.triangles)
    assert np.abs(loaded.vertices / METRES[kind] - mesh.vertices).max() < 1e-7
    if kind == "glb":
        assert np.abs(loaded.visual.uv * (1, -1) + (0, 1) - mesh.uv).max() < 1e-6
    assert np.abs(loaded.vertex_normals - mesh.normals).max() < 1e-3


@pytest.mark.parametrize("kind", FORMATS)
def test_the_nose_points_along_z_and_the_surface_outwards(mesh: TexturedMesh, kind: MeshFormat) -> None:
    loaded = load(mesh, kind)
    tip = loaded.vertices[:, 2].argmax()
    assert loaded.vertices[tip, 2] > loaded.vertices[:, 2].mean() + 0.03 * METRES[kind]
    around_tip = (loaded.faces == tip).any(1)
    assert loaded.face_normals[around_tip].mean(0)[2] > 0.7
    assert loaded.vertex_normals[tip, 2] > 0.7
    top = loaded.vertices[:, 1] > np.quantile(loaded.vertices[:, 1], 0.9)
    assert (mesh.uv[top, 1] < 0.4).all()


@pytest.mark.parametrize("kind", FORMATS)
def test_colours_are_neither_swapped_nor_mirrored_nor_upside_down(mesh: TexturedMesh, kind: MeshFormat) -> None:
    loaded = load(mesh, kind)
    colours = loaded.visual.to_color() if kind == "glb" else loaded.visual
    found = np.asarray(colours.vertex_colors)[:, :3].astype(float)
    expected = np.stack([mesh.uv[:, 0] * 255, mesh.uv[:, 1] * 255, np.full(len(mesh.uv), 40.0)], 1)
    assert np.abs(found - expected).max() < 6
    right = loaded.vertices[:, 0] > 0.02 * METRES[kind]
    assert found[right, 0].mean() > 150


@pytest.mark.parametrize("kind", FORMATS)
def test_open3d_reads_the_same_positions_and_colours(mesh: TexturedMesh, kind: MeshFormat, tmp_path: Path) -> None:
    (tmp_path / f"face.{kind}").write_bytes(encode_mesh(mesh, kind))
    found = o3d.io.read_triangle_mesh(str(tmp_path / f"face.{kind}"))
    vertices, triangles = np.asarray(found.vertices) / METRES[kind], np.asarray(found.triangles)
    gaps, original = KDTree(mesh.vertices).query(vertices)  # it sorts vertices anew
    assert len(vertices) == len(mesh.vertices)
    assert len(triangles) == len(mesh.triangles)
    assert gaps.max() < 1e-6
    if kind == "glb":
        # Rows of its textures and v both count from the bottom up.
        places = np.asarray(found.triangle_uvs) * (1, -1) + (0, 1)
        assert np.abs(places - mesh.uv[original[triangles.ravel()]]).max() < 1e-6
        (texture,) = (pixels for image in found.textures if (pixels := np.asarray(image)).size > 1)
        assert np.abs(texture[::-1].astype(int) - mesh.texture).max() < 6
    else:
        colours = np.asarray(found.vertex_colors) * 255
        assert np.abs(colours - mesh.vertex_colours()[original]).max() < 1


def test_glb_holds_plain_numbers_that_every_reader_takes_for_what_they_are(mesh: TexturedMesh) -> None:
    """trimesh, three.js and others differ over normalized integers, sparse accessors and extensions."""
    data = encode_mesh(mesh, "glb")
    content = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    floats, unsigned = 5126, 5123
    (primitive,) = content["meshes"][0]["primitives"]
    for index in primitive["attributes"].values():
        assert content["accessors"][index]["componentType"] == floats
    assert content["accessors"][primitive["indices"]]["componentType"] == unsigned
    assert not any({"normalized", "sparse"} & set(accessor) for accessor in content["accessors"])
    assert not {"extensionsRequired", "extensionsUsed"} & set(content)


def test_glb_holds_a_matt_material_with_a_good_jpeg(mesh: TexturedMesh) -> None:
    photo = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8), (0, 0), 3)
    material = load(replace(mesh, texture=photo), "glb").visual.material
    assert (material.metallicFactor, material.roughnessFactor, material.doubleSided) == (0.0, 1.0, True)
    picture = np.asarray(material.baseColorTexture)
    assert material.baseColorTexture.format == "JPEG"
    assert np.abs(picture.astype(float) - photo).mean() < 1.5


def test_a_dense_mesh_of_more_than_65535_vertices_keeps_its_indices() -> None:
    layout = UvLayout.of(FaceModel.default())
    vertices = torch.cat([layout.pixel_uv, torch.zeros(len(layout.pixel_uv), 1)], 1).numpy()
    normals = np.tile(np.float32([0, 0, 1]), (len(vertices), 1))
    texture = np.zeros((256, 256, 3), np.uint8)
    grid = TexturedMesh(vertices, normals, layout.grid_triangles.numpy(), layout.pixel_uv.numpy(), texture)
    for kind in ("glb", "ply"):
        assert np.array_equal(load(grid, kind).faces, grid.triangles)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_fine_texture_comes_back_in_full_size(mesh: TexturedMesh, kind: MeshFormat) -> None:
    fine = replace(mesh, texture=cv2.resize(mesh.texture, (1000, 1000), interpolation=cv2.INTER_LINEAR))
    loaded = load(fine, kind)
    if kind == "glb":
        picture = np.asarray(loaded.visual.material.baseColorTexture)
        assert picture.shape == fine.texture.shape
        assert np.abs(picture.astype(int) - fine.texture).max() < 6
    else:
        colours = np.asarray(loaded.visual.vertex_colors)[:, :3]
        assert np.abs(colours.astype(int) - fine.vertex_colours()).max() == 0


def test_a_texture_full_of_noise_loses_quality_and_not_size(mesh: TexturedMesh) -> None:
    noise = np.random.default_rng(0).normal(128, 20, (640, 640, 3)).clip(0, 255).astype(np.uint8)
    data = encode_mesh(replace(mesh, texture=noise), "glb")
    assert len(data) < 300_000
    content = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])
    assert content["bufferViews"][content["images"][0]["bufferView"]]["byteLength"] < TEXTURE_BYTES
    assert np.asarray(load(replace(mesh, texture=noise), "glb").visual.material.baseColorTexture).shape == noise.shape


def test_glb_is_laid_out_as_the_standard_asks(mesh: TexturedMesh) -> None:
    """Header and chunks of glTF 2.0, section 4.4; offsets and lengths in fours, bounds of the positions."""
    data = encode_mesh(mesh, "glb")
    magic, version, length = data[:4], *np.frombuffer(data[4:12], "<u4")
    assert (magic, version, length) == (b"glTF", 2, len(data))
    json_length = int.from_bytes(data[12:16], "little")
    content, binary = json.loads(data[20 : 20 + json_length]), data[20 + json_length :]
    assert (data[16:20], binary[4:8]) == (b"JSON", b"BIN\0")
    assert json_length % 4 == 0 and int.from_bytes(binary[:4], "little") == len(binary) - 8
    assert content["buffers"] == [{"byteLength": len(binary) - 8}]
    assert all(view["byteOffset"] % 4 == 0 for view in content["bufferViews"])
    positions = content["accessors"][content["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert np.array_equal(np.float32(positions["min"]), mesh.vertices.min(0))
    assert np.array_equal(np.float32(positions["max"]), mesh.vertices.max(0))


def test_the_texture_of_a_glb_is_read_back() -> None:
    texture = np.zeros((64, 64, 3), np.uint8)
    texture[:, 32:] = (200, 90, 30)
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    mesh = TexturedMesh(
        corners, np.eye(3, dtype=np.float32)[[2, 2, 2]], np.array([[0, 1, 2]]), corners[:, :2], texture
    )
    found = glb_texture(encode_mesh(mesh, "glb"))
    assert found.shape == texture.shape and np.abs(found.astype(int) - texture).mean() < 2


@pytest.mark.parametrize("data", [b"", b"glTF", b"ply\n" * 20, bytes(100)])
def test_what_is_no_glb_with_a_texture_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no GLB with a texture"):
        glb_texture(data)
