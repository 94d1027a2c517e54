import io
import math
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.storage.photos.photo_file import decode_photo, encode_photo
from facerecon_ray.storage.photos.photo_lens import (
    EXIF_IFD,
    FOCAL_LENGTH,
    FOCAL_LENGTH_IN_35MM,
    PLANE_RESOLUTION_UNIT,
    PLANE_X_RESOLUTION,
    TAKEN_HEIGHT,
    TAKEN_WIDTH,
)

pillow_heif.register_heif_opener()

WIDTH, HEIGHT = 320, 240
DIAGONAL = 400.0
IN_PIXELS = 26 / math.hypot(36, 24) * DIAGONAL


def _with_exif(tags: dict[int, Any], orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(EXIF_IFD).update(tags)
    exif[EXIF_IFD] = 0
    return exif


def _file(tags: dict[int, Any], kind: str = "JPEG", orientation: int = 1) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), "grey").save(buffer, kind, exif=_with_exif(tags, orientation))
    return buffer.getvalue()


def _focal(data: bytes, most: int = 4096) -> float:
    return decode_photo(data, ReadSettings(max_side=most)).focal_length


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "AVIF", "TIFF", "HEIF"])
def test_the_focal_length_in_terms_of_film_is_a_share_of_the_diagonal(kind: str) -> None:
    assert _focal(_file({FOCAL_LENGTH_IN_35MM: 26}, kind)) == pytest.approx(IN_PIXELS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_in_pixels_of_the_original_however_it_lies_and_is_scaled(orientation: int) -> None:
    data = _file({FOCAL_LENGTH_IN_35MM: 26}, orientation=orientation)
    photo = decode_photo(data, ReadSettings(max_side=256))
    assert max(photo.pixels.shape) == 256
    assert photo.focal_length == pytest.approx(IN_PIXELS)


def test_lens_and_sensor_tell_it_where_nothing_is_said_in_terms_of_film() -> None:
    taken = {TAKEN_WIDTH: 4000, TAKEN_HEIGHT: 3000, FOCAL_LENGTH: 50.0}
    inches = taken | {PLANE_X_RESOLUTION: 4000 / 36 * 25.4}
    centimetres = taken | {PLANE_X_RESOLUTION: 4000 / 3.6, PLANE_RESOLUTION_UNIT: 3}
    for tags in (inches, centimetres):
        assert _focal(_file(tags)) == pytest.approx(50 / 36 * WIDTH, rel=1e-3)
    assert _focal(_file({FOCAL_LENGTH: 50.0})) == 0.0


def test_a_photo_that_was_cut_to_another_shape_tells_nothing() -> None:
    whole = {FOCAL_LENGTH_IN_35MM: 26, TAKEN_WIDTH: 4032, TAKEN_HEIGHT: 3024}
    assert _focal(_file(whole)) == pytest.approx(IN_PIXELS)
    assert _focal(_file(whole | {TAKEN_WIDTH: 3024, TAKEN_HEIGHT: 4032})) == pytest.approx(IN_PIXELS)
    assert _focal(_file(whole | {TAKEN_WIDTH: 3024})) == 0.0


@pytest.mark.parametrize(
    "tags", [{}, {FOCAL_LENGTH_IN_35MM: 0}, {FOCAL_LENGTH_IN_35MM: 1}, {FOCAL_LENGTH_IN_35MM: 65535}]
)
def test_what_no_lens_has_is_not_believed(tags: dict[int, Any]) -> None:
    assert _focal(_file(tags)) == 0.0


def test_broken_exif_is_a_photo_without_one() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(buffer, "JPEG", exif=b"Exif\0\0no such byte order")
    assert _focal(buffer.getvalue()) == 0.0


def test_an_opened_image_keeps_its_lens_on_the_way_through_a_file() -> None:
    image = Image.open(io.BytesIO(_file({FOCAL_LENGTH_IN_35MM: 26}, orientation=6)))
    photo = decode_photo(encode_photo(image), ReadSettings())
    assert photo.focal_length == pytest.approx(IN_PIXELS)
    assert photo.pixels.shape == (WIDTH, HEIGHT, 3)
    assert _focal(encode_photo(Image.fromarray(np.zeros((9, 9, 3), np.uint8)))) == 0.0
