import errno
import os
from pathlib import Path

import numpy as np
import pytest
from s3_server import S3Server

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import StoreUnavailableError
from facerecon_ray.stages.read import Reader
from facerecon_ray.storage.objects import open_store
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


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_share_that_is_gone_makes_no_photo_unreadable_and_a_bad_sector_does(
    is_gone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a.jpg").write_bytes(b"x")

    def stale(path: object) -> bytes:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    monkeypatch.setattr(Path, "read_bytes", stale)
    if is_gone:
        monkeypatch.setattr(os, "scandir", stale)
        with pytest.raises(StoreUnavailableError, match="Stale file handle; look whether its disk or share is still"):
            read(tmp_path / "a.jpg")
    else:
        assert read(tmp_path / "a.jpg")["error"].tolist() == ["the file cannot be read: Stale file handle"]


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


def test_objects_are_read_and_those_that_cannot_be_are_rows_with_a_reason(seaweed: S3Server):
    root = f"s3://{seaweed.bucket()}"
    store = open_store(root, seaweed.settings)
    for name, data in {"a b/good.jpg": b"photo", "large.jpg": b"x" * 11, "empty.jpg": b""}.items():
        store.write(name, data)
    names = ("a b/good.jpg", "missing.jpg", "large.jpg", "empty.jpg")
    batch = Reader(ReadSettings(max_bytes=10), seaweed.settings)(
        {"photo_uri": np.array([f"{root}/{name}" for name in names], object), "position": np.arange(4)}
    )
    assert batch["error"].tolist() == [
        "",
        "the object does not exist",
        "the file has 11 bytes, more than the 10 that read.max_bytes allows",
        "the file is empty",
    ]
    assert batch["status"].tolist() == ["ok", *["unreadable"] * 3] and batch["position"].tolist() == [0, 1, 2, 3]
    assert batch["photo_bytes"].tolist() == [b"photo", b"", b"", b""]


def test_a_store_that_answers_nothing_makes_no_photo_unreadable():
    nobody = S3Settings(endpoint_url="http://127.0.0.1:1", time_limit=0.3)
    with pytest.raises(StoreUnavailableError):
        Reader(ReadSettings(), nobody)({"photo_uri": np.array(["s3://bucket/a.jpg"], object)})


def test_rows_that_were_given_up_before_are_not_read(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    batch = {"photo_uri": np.array([str(tmp_path / "a.jpg")] * 2, object)}
    batch |= {"status": np.array(["failed", "ok"], object), "error": np.array(["given up", ""], object)}
    result = Reader(ReadSettings())(batch)
    assert result["status"].tolist() == ["failed", "ok"] and result["error"].tolist() == ["given up", ""]
    assert result["photo_bytes"].tolist() == [b"", b"x"]
