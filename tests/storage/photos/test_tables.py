"""Pictures in Parquet files, with the columns that Hugging Face's data sets and img2dataset write."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from s3_server import S3Server

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError
from facerecon_ray.stages.read import Reader
from facerecon_ray.storage.layout import photo_key
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.photos.known_photos import PlannedPhoto


def picture(number: int, size: int = 200) -> bytes:
    return b"\xff\xd8\xff\xe0\0" + str(number).encode().ljust(size, b".")


def structs(values: list[bytes | None]) -> pa.Array:
    return pa.array([value and {"bytes": value, "path": f"{n}.jpg"} for n, value in enumerate(values)])


COLUMNS = {
    "struct": structs,
    "binary": lambda values: pa.array(values, pa.binary()),
    "large binary": lambda values: pa.array(values, pa.large_binary()),
    "binary view": lambda values: pa.array(values, pa.binary_view()),
}


def write(path: Path, rows: int = 10, **columns: object) -> Path:
    pq.write_table(pa.table({"caption": ["a face"] * rows, **columns}), path, row_group_size=4)
    return path


def read(photos: list[PlannedPhoto], settings: S3Settings | None = None, **limits: int) -> list[bytes | str]:
    """What became of each: its contents, or the reason why there are none."""
    spans = [photo.span and photo.span._asdict() for photo in photos]
    batch = {"photo_uri": np.array([photo.uri for photo in photos], object), "span": np.array(spans, object)}
    result = Reader(ReadSettings(**limits), settings)(batch)
    return [error or data for data, error in zip(result["photo_bytes"], result["error"], strict=True)]


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_row_with_a_picture_is_a_photo(tmp_path: Path, kind: str) -> None:
    pictures = [picture(n) if n not in (1, 4, 5, 6, 7) else None for n in range(10)]
    path = write(tmp_path / "train.parquet", photo=COLUMNS[kind](pictures))
    listing = list_photos(str(path))
    photos = list(listing.planned())
    there = [n for n in range(10) if pictures[n]]
    assert [photo.uri for photo in photos] == [f"{path}#{n}" for n in there]
    assert listing.ignored == 5 and listing.root == str(tmp_path)
    assert read(photos) == [pictures[n] for n in there]
    assert read(list(reversed(photos))) == [pictures[n] for n in reversed(there)]
    names = [PlannedPhoto(f"{path}#{n}") for n in (9, 4, 10)]
    assert read(names) == [picture(9), "the row has no picture", "the Parquet file has 10 rows alone, from 0"]
    assert photo_key(photos[0].uri, str(tmp_path)) == "train.parquet~/0"


def test_a_file_of_names_is_a_list_and_pictures_are_told_from_names(tmp_path: Path) -> None:
    names = write(
        tmp_path / "names.parquet", photo_uri=[f"{n}.jpg" for n in range(10)], image=structs([picture(1)] * 10)
    )
    assert list(list_photos(str(names))) == [f"{tmp_path}/{n}.jpg" for n in range(10)]
    pq.write_table(pa.table({"file": [b"BM/1.jpg", b"GIF89a.gif"]}), tmp_path / "bytes.parquet")
    assert list(list_photos(str(tmp_path / "bytes.parquet"))) == [f"{tmp_path}/BM/1.jpg", f"{tmp_path}/GIF89a.gif"]
    pq.write_table(pa.table({"Photo_URI": [picture(0)]}), tmp_path / "one.parquet")
    assert list(list_photos(str(tmp_path / "one.parquet"))) == [f"{tmp_path}/one.parquet#0"]
    sound = [b"RIFF\0\0\0\0WAVE" + bytes(99)] * 10
    both = {
        "image": structs([picture(n) for n in range(10)]),
        "mask": structs([picture(3)] * 10),
        "sound": structs(sound),
    }
    assert read(list(list_photos(str(write(tmp_path / "two.parquet", **both))).planned())[:1]) == [picture(0)]


def test_what_is_neither_is_refused_in_one_line(tmp_path: Path) -> None:
    both = {"front": structs([picture(1)] * 10), "side": structs([picture(2)] * 10)}
    with pytest.raises(InputError, match=r"several columns hold pictures \(front, side\): name the one .* image"):
        list_photos(str(write(tmp_path / "both.parquet", **both)))
    with pytest.raises(
        InputError, match=r"no column is named photo_uri \(there are caption, url\), and none holds pictures"
    ):
        list_photos(str(write(tmp_path / "neither.parquet", url=["x"] * 10)))
    with pytest.raises(InputError, match="no photo found"):
        list_photos(str(write(tmp_path / "none.parquet", photo_uri=pa.nulls(10, pa.string())))).require_one()


def test_parquet_files_of_a_folder_are_taken_if_they_hold_pictures(tmp_path: Path) -> None:
    for name in ("0", "1"):
        write(tmp_path / f"{name}.parquet", rows=2, image=structs([picture(n) for n in range(2)]))
    write(tmp_path / "list.parquet", rows=2, photo_uri=["a.jpg", "b.jpg"])
    write(tmp_path / "metadata.parquet", rows=2)
    (tmp_path / "2.parquet").write_bytes((tmp_path / "1.parquet").read_bytes()[:-9])
    listing = list_photos(str(tmp_path))
    photos = list(listing.planned())
    rows = [f"{tmp_path}/{name}" for name in ("0.parquet#0", "0.parquet#1", "1.parquet#0", "1.parquet#1")]
    assert [photo.uri for photo in photos] == [*rows, f"{tmp_path}/2.parquet"] and listing.ignored == 2
    *pictures, reason = read(photos)
    assert pictures == [picture(n) for n in (0, 1, 0, 1)] and reason.startswith("the Parquet file is damaged (")
    some = list_photos(f"{tmp_path}/{{1,7}}.parquet")
    assert list(some) == [*rows[2:], f"{tmp_path}/7.parquet"]
    assert read([PlannedPhoto(f"{tmp_path}/7.parquet"), PlannedPhoto(f"{tmp_path}/list.parquet#1")]) == [
        "the Parquet file does not exist",
        "the Parquet file has no column of pictures",
    ]


def test_a_file_that_was_written_anew_is_noticed_and_a_copy_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", image=structs([picture(n) for n in range(10)]))
    photos = list(list_photos(str(path)).planned())
    path.write_bytes(path.read_bytes())
    os.utime(path, (0, 0))
    assert read(photos[:2]) == [picture(0), picture(1)]
    write(path, image=structs([picture(n + 1, 201) for n in range(10)]))
    changed = "the Parquet file was written anew since its rows were listed: this one may be another photo now"
    assert read(photos[:2]) == [changed] * 2
    assert read([PlannedPhoto(f"{path}#0"), PlannedPhoto(str(path))], max_bytes=250) == [
        picture(1, 201),
        "the Parquet file itself is no photo; pictures in it are rows of their own, named FILE.parquet#ROW",
    ]
    assert read([PlannedPhoto(f"{path}#0")], max_bytes=50) == [
        "the file has 206 bytes, more than the 50 that read.max_bytes allows"
    ]


def test_of_a_file_in_a_bucket_its_footer_and_the_rows_wanted_are_read_once(
    seaweed: S3Server, asked: list[int]
) -> None:
    root = f"s3://{seaweed.bucket()}"
    store = open_store(root, seaweed.settings)
    file = io.BytesIO()
    pictures = [picture(n) + os.urandom(20_000) for n in range(400)]
    pq.write_table(pa.table({"image": structs(pictures)}), file, row_group_size=100)
    store.write("data/0.parquet", file.getvalue())
    photos = list(list_photos(f"{root}/data", seaweed.settings).planned())
    assert [photo.uri for photo in photos] == [f"{root}/data/0.parquet#{n}" for n in range(400)]
    assert sum(asked) < 3_000_000
    asked.clear()
    reader = Reader(ReadSettings(), seaweed.settings)
    for start in range(100, 200, 20):
        some = photos[start : start + 20]
        batch = {"photo_uri": np.array([photo.uri for photo in some], object)}
        assert reader(batch)["photo_bytes"].tolist() == pictures[start : start + 20]
    assert sum(asked) < 3_000_000
    store.write("data/0.parquet", file.getvalue()[:-1] + b"x")
    assert read(photos[:1], seaweed.settings)[0].startswith("the Parquet file is damaged")
    store.delete("data/0.parquet")
    assert read(photos[:1], seaweed.settings) == ["the Parquet file does not exist"]
