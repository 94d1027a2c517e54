from pathlib import Path

import pytest

from facerecon_ray.errors import OutputError
from facerecon_ray.storage.outputs import OutputFolder


def test_a_file_is_written_whole_and_leaves_nothing_else(tmp_path: Path):
    output = OutputFolder(tmp_path / "out")
    output.write("meshes/a/0.glb", b"one")
    output.write("meshes/a/0.glb", b"two")
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["0.glb"]
    assert (tmp_path / "out/meshes/a/0.glb").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../x", "meshes/../../x", "/x", "meshes/../x"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, name: str):
    with pytest.raises(OutputError, match="outside"):
        OutputFolder(tmp_path / "out").write(name, b"x")
    assert list(tmp_path.rglob("*")) == []


def test_checking_a_folder_creates_nothing(tmp_path: Path):
    OutputFolder(tmp_path / "new" / "out").check_writable()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OutputError, match="is not a folder"):
            OutputFolder(path).check_writable()


def test_clearing_deletes_only_what_a_job_writes(tmp_path: Path):
    output = OutputFolder(tmp_path)
    own = ["meshes/a.jpg/0.glb", "previews/a.jpg/0.jpg", "viewer/a.jpg/0.js", "viewer/viewer.html", "index.html"]
    own += ["manifest/part-00000000.parquet", "plan/photos-00000000.parquet"]
    mine = ["notes.txt", "meshes/mine.glb", "photos/0.png", "manifest/mine.parquet", "run.json"]
    for name in own + mine:
        output.write(name, b"x")
    (tmp_path / "meshes/b.jpg").mkdir()
    (tmp_path / "meshes/b.jpg/.1.obj.0123456789abcdef.tmp").write_bytes(b"x")
    output.clear()
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(mine)
    assert not (tmp_path / "previews").exists()
