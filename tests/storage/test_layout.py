import os
from pathlib import PurePosixPath

import pytest

from facerecon_ray.storage.layout import photo_key

ROOT = "/photos"


@pytest.mark.parametrize("name", ["me.jpg", "2024/summer/IMG_0001.JPG", "Zoë/face & hat (1).png", "日本/顔.webp"])
def test_a_harmless_photo_keeps_its_relative_path(name: str):
    assert photo_key(f"{ROOT}/{name}", ROOT) == name


HOSTILE = [
    "/photos/../etc/passwd.jpg",
    "/photos/..jpg/a.jpg",
    "/photos/a/../../b.jpg",
    "/elsewhere/me.jpg",
    "/photos/line\nbreak.jpg",
    "/photos/nul\x00.jpg",
    "/photos/trailing. ",
    "/photos/dots...",
    "/photos/.hidden.jpg",
    "/photos/" + "x" * 300 + ".jpg",
    "/photos/" + "y/" * 300 + "me.jpg",
    "/photos/Zoe\u0308.jpg",
    "/photos/right\u202eleft.jpg",
    "/photos/back\\slash.jpg",
    "/photos/q?#%.jpg",
    "/photos/tilde~0123456789abcdef0123.jpg",
    "/photos/viewer.html",
    "/photos/no-suffix",
    "/photos",
    "/",
    "file:///photos/caf%E9.jpg",
    "file:///photos/%2e%2e/%2e%2e/x.jpg",
]


@pytest.mark.parametrize(
    ("member", "key"),
    [
        ("a/0.tar#x/1.jpg", "a/0.tar~/x/1.jpg"),
        ("0.TAR#1.jpg", "0.TAR~/1.jpg"),
        ("party.mp4#t=1.000", "party.mp4/t=1.000"),
    ],
)
def test_what_is_in_a_file_lies_below_that_files_key(member: str, key: str):
    assert photo_key(f"{ROOT}/{member}", ROOT) == key


def test_names_of_members_lead_nowhere_and_are_told_from_files_of_a_folder():
    names = ("a.jpg", "../a.jpg", "/a.jpg", "x/../a.jpg", "a.jpg#2", "./a.jpg", ".a.jpg", "a.jpg/", "b#t=1.000")
    keys = [photo_key(f"{ROOT}/0.tar#{name}", ROOT) for name in names]
    assert len({*keys, photo_key(f"{ROOT}/0.tar/a.jpg", ROOT)}) == len(names) + 1
    assert all(key.startswith("0.tar~/") and os.path.normpath(key) == key for key in keys)


@pytest.mark.parametrize("uri", HOSTILE)
def test_any_other_photo_gets_a_clean_relative_key_with_a_hash(uri: str):
    key = photo_key(uri, ROOT)
    path = PurePosixPath(key)
    assert "~" in path.name and str(path) == key and key.isprintable() and not path.is_absolute()
    assert len(path.parts) <= 2 and all(part.strip(". ") == part and len(part.encode()) < 100 for part in path.parts)
    assert os.path.normpath(key) == key


def test_different_photos_have_different_keys():
    uris = [
        *HOSTILE,
        "/photos/line_break.jpg",
        "/photos/a.jpg",
        "/photos/a.png",
        "/photos/b/a.jpg",
        "/a.jpg",
        "/b/a.jpg",
    ]
    keys = {photo_key(uri, ROOT) for uri in uris}
    assert len(keys) == len(uris)


def test_a_photo_named_like_another_photos_hashed_key_does_not_take_its_place():
    hashed = photo_key("/photos/line\nbreak", ROOT)
    assert photo_key(f"{ROOT}/{hashed}", ROOT) != hashed


def test_frames_of_a_clip_lie_below_its_key() -> None:
    assert photo_key("/photos/a/clip.MOV#t=1.500", "/photos") == "a/clip.MOV/t=1.500"
    assert photo_key("/photos/a/clip.MOV", "/photos") == "a/clip.MOV"
    odd = photo_key("s3://bucket/c#d.mp4#t=0.000", "s3://bucket")
    assert odd.endswith("/t=0.000") and odd.startswith(photo_key("s3://bucket/c#d.mp4", "s3://bucket") + "/")
    assert "~" in photo_key("/photos/a.jpg#t=1.500", "/photos")
