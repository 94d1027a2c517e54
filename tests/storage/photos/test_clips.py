from pathlib import Path

import numpy as np
import pytest
from clips import number_of, numbered, write_clip
from s3_server import S3Server

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import InputError
from facerecon_ray.stages.read import Reader
from facerecon_ray.storage.objects import as_bucket, open_store
from facerecon_ray.storage.pairs.pair_codec import unpack_image
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.s3_object import open_object

READ = ReadSettings(frames_per_second=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo, a clip of 1.2 seconds, one that is damaged, and a file that is neither."""
    (tmp_path / "in").mkdir()
    write_clip(tmp_path / "in" / "b.MP4", numbered(12))
    (tmp_path / "in" / "c.mov").write_bytes((tmp_path / "in" / "b.MP4").read_bytes()[:900])
    (tmp_path / "in" / "a.jpg").write_bytes(b"photo")
    (tmp_path / "in" / "d.txt").write_bytes(b"text")
    return tmp_path / "in"


def read(uris: list[str], **settings: object) -> list[str | int]:
    """What became of each: the number of its picture, or the reason why there is none."""
    batch = Reader(READ, **settings)({"photo_uri": np.array(uris, object)})
    assert [status == "ok" for status in batch["status"]] == [not error for error in batch["error"]]
    columns = zip(batch["photo_bytes"], batch["error"], strict=True)
    return [error or number_of(unpack_image(data)) for data, error in columns]


def test_a_clip_in_a_folder_is_its_frames_and_a_damaged_one_is_one_photo_with_the_reason(folder: Path) -> None:
    found = list_photos(str(folder), read=READ)
    uris = list(found)
    assert uris == [
        f"{folder}/{name}" for name in ("a.jpg", "b.MP4#t=0.000", "b.MP4#t=0.500", "b.MP4#t=1.000", "c.mov")
    ]
    assert found.ignored == 1 and found.root == str(folder)
    damaged = "the clip is damaged or of a kind that is not supported (Invalid data found when processing input)"
    assert read(uris[1:]) == [0, 5, 10, damaged]


def test_frames_may_be_named_by_a_list_and_read_in_any_order(folder: Path) -> None:
    names = ["b.MP4#t=0.700", "a.jpg", "b.MP4#t=0.200", "b.MP4"]
    (folder / "list.txt").write_text("\n".join(names))
    found = list_photos(str(folder / "list.txt"), read=READ)
    uris = [f"{folder}/{name}" for name in [*names[:3], "b.MP4#t=0.000", "b.MP4#t=0.500", "b.MP4#t=1.000"]]
    assert list(found) == uris and found.root == str(folder)
    assert read([uris[0], uris[2]]) == [7, 2]
    assert read([f"{folder}/b.MP4#t=9.000", f"{folder}/gone.mp4#t=0.000", f"{folder}/b.MP4"]) == [
        "the clip ends before, after 1.1 seconds",
        "the file does not exist",
        "the clip itself is no photo; its frames are rows of their own",
    ]


def test_clips_are_passed_over_where_no_frames_are_wanted(folder: Path) -> None:
    none = ReadSettings(frames_per_second=0)
    found = list_photos(str(folder), read=none)
    assert list(found) == [f"{folder}/a.jpg"] and found.ignored == 3
    with pytest.raises(
        InputError, match=r"no photo found \(other files passed over: 1\)\. Photos end in .*; clips in "
    ):
        list_photos(str(folder / "b.MP4"), read=none).require_one()


def test_a_clip_in_a_bucket_is_read_in_places_and_never_as_a_whole(
    folder: Path, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"s3://{seaweed.bucket()}"
    store = as_bucket(open_store(root, seaweed.settings))
    assert store is not None
    store.write("a b/clip.mp4", (folder / "b.MP4").read_bytes() + b"\0\0\0\0free" + bytes(9_000_000))
    store.write("cut.mp4", (folder / "c.mov").read_bytes())
    uris = list(list_photos(root, seaweed.settings, read=READ))
    frames = [f"{root}/a b/clip.mp4#t={time}" for time in ("0.000", "0.500", "1.000")]
    assert uris == [*frames, f"{root}/cut.mp4"]
    asked: list[int] = []
    read_range = type(store).read_range

    def counted(self: object, name: str, start: int, end: int, etag: str) -> bytes:
        asked.append(end - start)
        return read_range(self, name, start, end, etag)

    monkeypatch.setattr(type(store), "read_range", counted)
    assert read([*frames, f"{root}/gone.mp4#t=0.000"], s3=seaweed.settings) == [0, 5, 10, "the object does not exist"]
    assert 0 < sum(asked) < 4_000_000
    with open_object(store, store.find("cut.mp4")) as file:
        assert file.read() == (folder / "c.mov").read_bytes() and file.seek(-5, 2) == 895 and len(file.read(99)) == 5
