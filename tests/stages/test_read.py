import os
from pathlib import Path

import numpy as np
import pytest

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.stages.read import Reader
from facerecon_ray.storage.uris import uri_of


def read(*paths: object, **settings: int) -> dict[str, np.ndarray]:
    return Reader(ReadSettings(**settings))({"photo_uri": np.array([str(path) for path in paths], object)})


def test_bytes_arrive_as_they_are_and_in_order(tmp_path: Path):
    contents = [os.urandom(100) + b"\x00" for _ in range(20)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    batch = read(*(tmp_path / f"{number}.jpg" for number in range(20)))
    assert batch["photo_bytes"].tolist() == contents
    assert set(batch["status"]) == {"ok"} and set(batch["error"]) == {""}
    assert (batch["read_ms"] > 0).all()


def test_a_name_that_is_no_text_is_read(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    path.write_bytes(b"x")
    assert read(uri_of(path))["photo_bytes"].tolist() == [b"x"]


def test_every_file_that_cannot_be_read_is_a_row_with_a_reason(tmp_path: Path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "large.jpg").write_bytes(b"x" * 11)
    (tmp_path / "good.jpg").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    names = ("missing.jpg", "empty.jpg", "large.jpg", "", "pipe.jpg", "loop.jpg", "nul\x00.jpg", "good.jpg")
    batch = read(*(f"{tmp_path}/{name}" for name in names), max_bytes=10)
    assert batch["error"].tolist() == [
        "the file does not exist",
        "the file is empty",
        "the file has 11 bytes, more than the 10 that read.max_bytes allows",
        "this is a folder, not a photo",
        "this is not a regular file",
        "the file cannot be read: Too many levels of symbolic links",
        "the path is not a valid file name",
        "",
    ]
    assert batch["status"].tolist() == ["unreadable"] * 7 + ["ok"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_without_permission_is_a_row_with_a_reason(tmp_path: Path):
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").chmod(0)
    assert read(tmp_path / "secret.jpg")["error"].tolist() == ["there is no permission to read the file"]
