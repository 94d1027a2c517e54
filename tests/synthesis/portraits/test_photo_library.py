import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from facerecon_ray.config.photos import PhotoTextureSettings
from facerecon_ray.errors import InputError
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.portraits import photo_library
from facerecon_ray.synthesis.portraits.photo_library import PhotoLibrary

PHOTOS = Path(__file__).parents[3] / "facerecon_ray" / "assets" / "photos"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "below").mkdir()
    shutil.copy(PHOTOS / "eileen_collins.jpg", folder / "below")
    shutil.copy(PHOTOS / "eileen_collins.jpg", folder / "again.jpg")
    shutil.copy(PHOTOS / "grace_hopper.jpg", folder)
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no photo")
    (folder / "._again.jpg").write_bytes(b"no photo either")
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> PhotoTextureSettings:
    return PhotoTextureSettings(cache=str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def library(folder: Path, settings: PhotoTextureSettings, geometry: HeadGeometry) -> PhotoLibrary:
    return PhotoLibrary.open(str(folder), geometry, settings)


def test_equal_photos_count_once_and_every_refusal_has_a_reason(library: PhotoLibrary) -> None:
    assert len(library) == 1
    assert library.refused == {
        "the face wears glasses": 1,
        "the file is not a JPEG, HEIC, PNG, WebP, AVIF, JPEG XL, TIFF, BMP or GIF image": 1,
    }
    assert "1 of 3 photos" in library.summary


def test_textures_depend_on_the_seed_alone(library: PhotoLibrary) -> None:
    first, again, other = (library.texture(np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == (512, 512, 3)
    assert 0.08 < (first.validity > 200).mean() < 0.4
    assert first.photo.endswith(("again.jpg", "eileen_collins.jpg"))


def test_photo_skin_lies_over_painted_skin_only_where_the_face_is(library: PhotoLibrary) -> None:
    painted = np.full((512, 512, 3), (150, 110, 90), np.uint8)
    texture = library.skin(painted, np.random.default_rng(0))
    laid = texture.over(painted)
    np.testing.assert_array_equal(laid[:60], painted[:60], "the top of the head")
    sure = texture.validity == 255
    np.testing.assert_array_equal(laid[sure], texture.image[sure])


def test_a_complete_library_is_opened_from_its_cache_alone(
    library: PhotoLibrary,
    folder: Path,
    settings: PhotoTextureSettings,
    geometry: HeadGeometry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("nothing is to be fitted again")

    monkeypatch.setattr(photo_library, "PhotoFitter", refuse)
    again = PhotoLibrary.open(str(folder), geometry, settings)
    assert again.fingerprint == library.fingerprint
    drawn = [source.texture(np.random.default_rng(1)).image for source in (library, again)]
    np.testing.assert_array_equal(*drawn)


def test_an_interrupted_build_goes_on_with_the_photos_that_are_left(
    library: PhotoLibrary,
    folder: Path,
    settings: PhotoTextureSettings,
    geometry: HeadGeometry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (index,) = Path(str(settings.cache)).glob("*/libraries/*.json")
    index.unlink()

    def refuse(self: object, data: bytes) -> None:
        raise AssertionError("this photo was fitted before")

    monkeypatch.setattr(photo_library.PhotoFitter, "__call__", refuse)
    assert PhotoLibrary.open(str(folder), geometry, settings).fingerprint == library.fingerprint


def test_a_photo_that_cannot_be_read_is_counted_and_tried_again(
    library: PhotoLibrary,
    folder: Path,
    settings: PhotoTextureSettings,
    geometry: HeadGeometry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for index in Path(str(settings.cache)).glob("*/libraries/*.json"):
        index.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(photo_library, "MAX_PHOTO_BYTES", (folder / "grace_hopper.jpg").stat().st_size - 1)
        with_one_less = PhotoLibrary.open(str(folder), geometry, settings)
    assert with_one_less.refused["it cannot be read"] == 1
    assert "it cannot be read" not in PhotoLibrary.open(str(folder), geometry, settings).refused


def test_a_cache_is_kept_apart_from_the_photos(library: PhotoLibrary, folder: Path, geometry: HeadGeometry) -> None:
    for cache in (folder, folder.parent):
        with pytest.raises(InputError, match=r"'textures\.cache': .*lies in it"):
            PhotoLibrary.open(str(folder), geometry, PhotoTextureSettings(cache=str(cache)))


def test_textures_are_kept_elsewhere_where_there_is_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "file").touch(mode=0o600)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "caches"))
    temporary = tmp_path / f"facerecon_ray-{os.getuid()}"
    assert photo_library.default_cache().is_relative_to(temporary)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["nobody"])
    assert photo_library.default_cache().is_relative_to(temporary)


def test_folders_without_usable_photos_are_named(
    tmp_path: Path, settings: PhotoTextureSettings, geometry: HeadGeometry
) -> None:
    with pytest.raises(InputError, match=f"{tmp_path}: there are no photos"):
        PhotoLibrary.open(str(tmp_path), geometry, settings)
    shutil.copy(PHOTOS / "grace_hopper.jpg", tmp_path)
    with pytest.raises(InputError, match=r"no photo can be used .*glasses: 1.*24 pixels between the eyes"):
        PhotoLibrary.open(str(tmp_path), geometry, settings)
