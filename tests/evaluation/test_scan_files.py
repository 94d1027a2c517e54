from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_files import list_scans, read_scan

SPHERE = trimesh.creation.icosphere(4, 100.0)


def write_obj(path: Path, vertices: np.ndarray = SPHERE.vertices, triangles: np.ndarray = SPHERE.faces) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + [f"f {a} {b} {c}" for a, b, c in triangles + 1]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_subjects_of_micc_florence_come_in_order_and_one_without_a_scan_has_a_reason(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        write_obj(tmp_path / f"subject_{number:02d}" / "Model/frontal1/obj/scan.obj")
    (tmp_path / "subject_03" / "Model").mkdir(parents=True)
    found = list_scans(tmp_path)
    assert [scan.subject for scan in found] == ["subject_01", "subject_02", "subject_03", "subject_10"]
    assert [scan.path is None for scan in found] == [False, False, True, False]
    assert "Model/frontal1/obj" in found[2].reason


def test_the_second_frontal_scan_stands_in_for_a_missing_first_one(tmp_path: Path) -> None:
    path = write_obj(tmp_path / "subject_07" / "Model/frontal2/obj/scan.obj")
    assert list_scans(tmp_path)[0].path == path


def test_a_folder_of_meshes_is_a_subject_a_file(tmp_path: Path) -> None:
    write_obj(tmp_path / "b.obj")
    write_obj(tmp_path / "a.obj")
    assert [scan.subject for scan in list_scans(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_missing_or_empty_folder_is_an_error_that_says_what_is_expected(tmp_path: Path, make: object) -> None:
    folder = tmp_path / "scans"
    make(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=r"no such folder|neither subject_NN folders"):
        list_scans(folder)


def test_a_texture_is_read_with_its_own_side_up(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:32] = (255, 0, 0)
    uv = np.column_stack([np.full(len(SPHERE.vertices), 0.5), (SPHERE.vertices[:, 1] / 100 + 1) / 2])
    material = trimesh.visual.material.SimpleMaterial(image=Image.fromarray(picture))
    textured = trimesh.Trimesh(
        SPHERE.vertices, SPHERE.faces, visual=trimesh.visual.TextureVisuals(uv=uv, material=material), process=False
    )
    textured.export(tmp_path / "head.obj")
    scan = read_scan(tmp_path / "head.obj")
    colours = scan.colours.at_vertices()
    assert colours is not None
    assert (colours[scan.vertices[:, 1] > 20] == (255, 0, 0)).all()
    assert (colours[scan.vertices[:, 1] < -20] == 0).all()


def test_colours_of_vertices_are_read(tmp_path: Path) -> None:
    colours = np.tile(np.array([10, 200, 30, 255], np.uint8), (len(SPHERE.vertices), 1))
    colours[0] = (99, 9, 9, 255)
    trimesh.Trimesh(SPHERE.vertices, SPHERE.faces, vertex_colors=colours, process=False).export(tmp_path / "head.ply")
    scan = read_scan(tmp_path / "head.ply")
    assert scan.colours.vertex is not None
    assert (scan.colours.vertex[1:] == (10, 200, 30)).all()
    assert scan.notes == ()


def test_a_scan_without_colours_is_used_and_says_so(tmp_path: Path) -> None:
    assert "clay" in read_scan(write_obj(tmp_path / "head.obj")).notes[0]


def test_a_few_broken_vertices_are_left_out_and_many_are_refused(tmp_path: Path) -> None:
    vertices = np.array(SPHERE.vertices)
    vertices[:20] = np.nan
    scan = read_scan(write_obj(tmp_path / "few.obj", vertices))
    assert np.isfinite(scan.vertices).all()
    assert scan.triangles.max() == len(scan.vertices) - 1
    assert any("20 vertices are not numbers" in note for note in scan.notes)
    vertices[: len(vertices) // 2] = np.nan
    with pytest.raises(InputError, match="vertices are not numbers"):
        read_scan(write_obj(tmp_path / "many.obj", vertices))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("points.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
        ("one.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("empty.obj", b""),
        ("noise.ply", bytes(range(256)) * 9),
        ("noise.glb", b"glTF" + bytes(999)),
    ],
)
def test_a_file_without_a_usable_surface_is_refused_with_a_reason(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"triangles|no header of a PLY file|of glTF 0"):
        read_scan(path)
