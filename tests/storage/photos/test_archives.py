"""Photos in tar archives, made by tar itself and by Python's library."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from s3_server import S3Server

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError
from facerecon_ray.stages.read import Reader
from facerecon_ray.storage.objects import as_bucket, open_store
from facerecon_ray.storage.photos.inputs import list_photos
from facerecon_ray.storage.photos.known_photos import PlannedPhoto

CUT = "the archive is truncated: it ends within b.jpg"
REASON = {
    "cut.tar": CUT,
    "damaged.tar": "the archive is damaged at byte 1,536, after a.jpg",
    "empty.tar": "the archive is empty",
    "junk.tar": "the file is no tar archive",
    "packed.tar.gz": "the archive is compressed (gzip), so no photo in it can be read alone: unpack it with "
    "gunzip, which leaves a .tar file",
}


def content(name: str, size: int = 700) -> bytes:
    return name.encode(errors="surrogateescape").ljust(size, b".")


def tar_of(*names: str, size: int = 700) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(content(name, size)))
    return file.getvalue()


def read(photos: list[PlannedPhoto], settings: S3Settings | None = None, **limits: int) -> list[bytes | str]:
    """What became of each: its contents, or the reason why there are none."""
    spans = [photo.span and photo.span._asdict() for photo in photos]
    batch = {"photo_uri": np.array([photo.uri for photo in photos], object), "span": np.array(spans, object)}
    result = Reader(ReadSettings(**limits), settings)(batch)
    assert "span" not in result
    return [error or data for data, error in zip(result["photo_bytes"], result["error"], strict=True)]


def named(photos: list[PlannedPhoto]) -> list[PlannedPhoto]:
    """The same photos, of which nothing but the name is known."""
    return [PlannedPhoto(photo.uri) for photo in photos]


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
def test_photos_of_an_archive_are_those_of_the_folder_that_it_was_made_of(tmp_path: Path, form: str) -> None:
    deep = "/".join(["d" * 60] * 3)
    for name in ("b.JPG", "a.png", "a.json", f"{deep}/c.jpg", ".h.jpg", "._b.JPG", ".trash/d.jpg", "caf\udce9.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(content(name))
    (tmp_path / "in" / "linked.jpg").symlink_to("b.JPG")
    subprocess.run(["tar", f"--format={form}", "-cf", "../photos.tar", "."], cwd=tmp_path / "in", check=True)
    listing = list_photos(str(tmp_path / "photos.tar"))
    photos = sorted(listing.planned())
    names = ["a.png", "b.JPG", "caf%E9.jpg", f"{deep}/c.jpg"]
    assert [photo.uri for photo in photos] == [f"{tmp_path}/photos.tar#{name}" for name in names]
    expected = [content(name.replace("%E9", "\udce9")) for name in names]
    assert read(photos) == read(named(photos)) == expected
    assert listing.ignored == 5 and listing.root == str(tmp_path)


def test_names_that_come_again_lead_upwards_or_are_links_are_photos_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"first")
    os.link(tmp_path / "a.jpg", tmp_path / "b.jpg")
    make = "tar cf x.tar a.jpg b.jpg && printf second >c.jpg && mv c.jpg a.jpg && tar rf x.tar a.jpg && cd sub && "
    (tmp_path / "sub").mkdir()
    subprocess.run(f"{make} tar -Prf ../x.tar ../a.jpg", shell=True, check=True, cwd=tmp_path)
    photos = list(list_photos(str(tmp_path / "x.tar")).planned())
    assert [photo.uri.partition("#")[2] for photo in photos] == ["a.jpg", "b.jpg", "a.jpg#2", "../a.jpg"]
    assert read(photos) == read(named(photos)) == [b"first", b"first", b"second", b"second"]


def test_what_is_wrong_with_an_archive_is_one_row_and_the_photos_before_it_are_read(tmp_path: Path) -> None:
    whole = tar_of("a.jpg", "b.jpg")
    damaged = whole[:1536] + b"x" * 512 + whole[2048:]
    contents = {"cut.tar": whole[:2700], "damaged.tar": damaged, "empty.tar": b"", "junk.tar": b"x" * 3000}
    contents["packed.tar.gz"] = b"\x1f\x8b" + bytes(600)
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    photos = list(list_photos(str(tmp_path)).planned())
    found = dict(zip((photo.uri.removeprefix(f"{tmp_path}/") for photo in photos), read(photos), strict=True))
    assert found == REASON | dict.fromkeys(("cut.tar#a.jpg", "damaged.tar#a.jpg"), content("a.jpg"))
    assert read([PlannedPhoto(f"{tmp_path}/cut.tar#b.jpg")]) == [f"the archive has no photo of that name; {CUT}"]


def test_an_archive_that_changed_since_it_was_listed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(tar_of("a.jpg", "b.jpg", "c.jpg"))
    photos = list(list_photos(str(path)).planned())
    path.write_bytes(tar_of("new.jpg", "c.jpg", "a.jpg", size=40))
    gone = "the archive has no photo of that name"
    assert read(photos) == [content("a.jpg", 40), gone, content("c.jpg", 40)]
    assert read([PlannedPhoto(str(path))]) == [
        "the archive itself is no photo; photos in it are rows of their own, named ARCHIVE.tar#NAME"
    ]
    path.unlink()
    assert read(photos) == ["the archive does not exist"] * 3
    path.write_bytes(tar_of("a.jpg", "empty.jpg", size=0))
    assert read([*photos[:1], PlannedPhoto(f"{path}#gone.jpg")]) == ["the file is empty", gone]


def test_a_member_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of("a.jpg"))
    photos = list(list_photos(str(tmp_path / "x.tar")).planned())
    assert read(photos, max_bytes=600) == ["the file has 700 bytes, more than the 600 that read.max_bytes allows"]


def test_lists_and_patterns_name_archives_and_single_photos_in_them(tmp_path: Path) -> None:
    for number in (0, 1, 10):
        (tmp_path / f"{number:05}.tar").write_bytes(tar_of(f"{number}.jpg", f"{number}.txt"))
    (tmp_path / "list.txt").write_text("00001.tar\n00000.tar#0.jpg\n00000.tar\nb.jpg")
    found = list_photos(str(tmp_path / "list.txt"))
    uris = ["00001.tar#1.jpg", "00000.tar#0.jpg", "00000.tar#0.jpg", "b.jpg"]
    assert list(found) == [f"{tmp_path}/{uri}" for uri in uris] and found.root == str(tmp_path)
    assert list(list_photos(f"{tmp_path}/00010.tar#10.jpg")) == [f"{tmp_path}/00010.tar#10.jpg"]
    some = list_photos(f"{tmp_path}/{{00000..00002}}.tar")
    assert list(some) == [f"{tmp_path}/{uri}" for uri in ("00000.tar#0.jpg", "00001.tar#1.jpg", "00002.tar")]
    assert some.root == str(tmp_path) and some.ignored == 2
    both = list_photos(f"{tmp_path}/{{0001*,0000[01]}}.tar")
    assert [Path(uri).name for uri in both] == ["00010.tar#10.jpg", "00000.tar#0.jpg", "00001.tar#1.jpg"]
    assert both.root == str(tmp_path)
    (tmp_path / "{a,b}.tar").write_bytes(tar_of("c.jpg"))
    assert list(list_photos(f"{tmp_path}/{{a,b}}.tar")) == [f"{tmp_path}/{{a,b}}.tar#c.jpg"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{00..19}.tar", "none of 20 files is there, from .*/00.tar to .*/19.tar"),
        ("{0..9999999}.tar", "it stands for more than 1,000,000 names"),
        ("junk.tar", "archive .*/junk.tar: the file is no tar archive"),
        ("junk.tar.gz", "archive .*/junk.tar.gz: the archive is compressed"),
        ("text.tar", r"no photo found \(other files passed over: 1\)"),
        ("photos.lance", "Lance data sets are not read; write one as Parquet"),
    ],
)
def test_what_holds_no_photos_is_refused_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "junk.tar").write_bytes(b"x" * 3000)
    (tmp_path / "junk.tar.gz").write_bytes(b"\x1f\x8b" + bytes(600))
    (tmp_path / "text.tar").write_bytes(tar_of("a.txt"))
    with pytest.raises(InputError, match=message):
        list_photos(str(tmp_path / name)).require_one()


def test_a_file_whose_name_looks_like_that_of_a_member_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "x.tar#y").mkdir()
    (tmp_path / "x.tar#y" / "a.jpg").write_bytes(b"file")
    photos = list(list_photos(str(tmp_path)).planned())
    assert [photo.uri for photo in photos] == [f"file://{tmp_path}/x.tar%23y/a.jpg"] and read(photos) == [b"file"]


def test_of_archives_in_a_bucket_little_more_is_read_than_headers_and_photos(
    seaweed: S3Server, asked: list[int]
) -> None:
    root = f"s3://{seaweed.bucket()}/a b"
    store = open_store(root, seaweed.settings)
    for number in range(2):
        store.write(f"{number:05}.tar", tar_of(*(f"{n}.jpg" for n in range(4)), size=1_000_000 + number))
    photos = list(list_photos(f"{root}/{{00000..00001}}.tar", seaweed.settings).planned())
    assert [photo.uri for photo in photos] == [f"{root}/{n:05}.tar#{k}.jpg" for n in range(2) for k in range(4)]
    assert len(asked) <= 12 and sum(asked) < 700_000
    asked.clear()
    expected = [content(f"{k}.jpg", 1_000_000 + n) for n in range(2) for k in range(4)]
    assert read(photos[2:6], seaweed.settings) == expected[2:6]
    assert asked == [1_000_000, 1_000_000, 1_000_001, 1_000_001]
    assert read(named(photos), seaweed.settings) == expected
    store.write("00000.tar", tar_of("2.jpg", "0.jpg", size=9))
    gone = "the archive has no photo of that name"
    assert read(photos[:4], seaweed.settings) == [content("0.jpg", 9), gone, content("2.jpg", 9), gone]
    store.delete("00001.tar")
    assert read(photos[4:5], seaweed.settings) == ["the archive does not exist"]
    with pytest.raises(InputError, match="none of 3 files is there"):
        list_photos(f"{root}/{{2..4}}.tar", seaweed.settings)


def test_headers_that_lie_close_together_come_in_large_pieces(seaweed: S3Server, asked: list[int]) -> None:
    root = f"s3://{seaweed.bucket()}"
    store = open_store(root, seaweed.settings)
    bucket = as_bucket(store)
    assert bucket is not None
    store.write("x.tar", tar_of(*(f"{n}.jpg" for n in range(1000)), size=1000))
    assert len(list(list_photos(root, seaweed.settings))) == 1000
    assert len(asked) <= 6 and sum(asked) <= bucket.find("x.tar").size
