from pathlib import Path

import numpy as np
import pytest

from facerecon_ray.errors import PhotoError
from facerecon_ray.synthesis.importers.obj_vertices import read_obj_vertices


def test_vertices_come_in_the_files_order_whatever_else_it_holds(tmp_path: Path) -> None:
    text = "mtllib a.mtl\nv 1 2 3 0.5 0.5 0.5\nvt 0 0\n v\t4 5e-1 6\r\nvn 0 0 1\nv 1 2 3\nf 1/1/1 2/1/1 3/1/1\n"
    (tmp_path / "a.obj").write_text(text)
    assert np.array_equal(read_obj_vertices(tmp_path / "a.obj"), [(1, 2, 3), (4, 0.5, 6), (1, 2, 3)])


@pytest.mark.parametrize("text", ["v 1 2\n", "v 1 2 x\n", "v 1 2 3\nv 1 2\n", "v 1 2 nan\n", "v 1 2 inf\n"])
def test_a_broken_vertex_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(PhotoError, match=r"a\.obj: a vertex is not three finite numbers"):
        read_obj_vertices(tmp_path / "a.obj")


def test_a_file_without_a_mesh_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_bytes(b"\x89PNG\r\n\x00\xff")
    with pytest.raises(PhotoError, match=r"a\.obj: it has no vertices; a mesh in OBJ format was expected"):
        read_obj_vertices(tmp_path / "a.obj")
    with pytest.raises(PhotoError, match=r"b\.obj: No such file"):
        read_obj_vertices(tmp_path / "b.obj")
