import io
from typing import Any

import numpy as np
import pytest
import tifffile

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.photo_file import decode_photo

SETTINGS = ReadSettings()
Y, X = np.mgrid[:60, :80]
COLOURS = np.stack([255 * X / 80, 255 * Y / 60, 255 - 200 * X / 80], -1).round().astype(np.uint8)
GREY = COLOURS[..., 0]
SHARES = COLOURS / 255.0
PLANES = np.moveaxis(COLOURS, -1, 0)


def written(values: np.ndarray, **options: Any) -> bytes:
    contents = io.BytesIO()
    tifffile.imwrite(contents, np.ascontiguousarray(values), **options)
    return contents.getvalue()


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (SHARES.astype(np.float32), {}),
        (SHARES.astype(np.float16), {}),
        (SHARES, {}),
        (SHARES.astype(np.float32), {"compression": "zlib"}),
        (SHARES.astype(np.float32), {"tile": (32, 32)}),
        (SHARES.astype(np.float32), {"byteorder": ">", "bigtiff": True}),
        (COLOURS.astype(np.float32), {}),
        (np.dstack([SHARES, np.ones((60, 80))]).astype(np.float32), {"extrasamples": ["unassalpha"]}),
        ((PLANES / 255).astype(np.float32), {"planarconfig": "separate"}),
        (PLANES.astype(np.uint16) * 257, {"planarconfig": "separate"}),
        (COLOURS.astype(np.uint16) * 257, {"byteorder": ">"}),
        (COLOURS.astype(np.uint16) * 16, {}),
        (COLOURS.astype(np.uint16) * 4, {"tile": (32, 32)}),
        (COLOURS.astype(np.int16), {}),
        (np.concatenate([COLOURS, COLOURS], 2), {"planarconfig": "contig"}),
    ],
    ids=lambda value: f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else " ".join(map(str, value)),
)
def test_colours_of_every_number_type_and_layout(values: np.ndarray, options: dict[str, Any]) -> None:
    photo = decode_photo(written(values, photometric="rgb", **options), SETTINGS)
    assert photo.pixels.shape == COLOURS.shape
    assert np.abs(photo.pixels.astype(int) - COLOURS).mean() < 1


@pytest.mark.parametrize(
    ("values", "white"),
    [(GREY.astype(np.uint16) * 257, 65535), (GREY.astype(np.uint16) * 16, 4095), (GREY / 255.0, 1)],
)
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_greys_whose_white_is_zero_too(values: np.ndarray, white: int, white_is_zero: bool) -> None:
    if white_is_zero:
        data = written((white - values).astype(values.dtype), photometric="miniswhite")
    else:
        data = written(values, photometric="minisblack")
    assert np.abs(decode_photo(data, SETTINGS).pixels.astype(int) - GREY[..., None]).mean() < 2


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_deep_pictures_are_turned(orientation: int) -> None:
    stored = np.rot90(SHARES, {1: 0, 3: 2, 6: 1}[orientation]).astype(np.float32)
    data = written(stored, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    photo = decode_photo(data, SETTINGS)
    assert photo.pixels.shape == COLOURS.shape
    assert np.abs(photo.pixels.astype(int) - COLOURS).mean() < 1


def test_highlights_beyond_white_do_not_darken_the_picture() -> None:
    bright = SHARES.copy()
    bright[:2, :2] = 40.0
    pixels = decode_photo(written(bright.astype(np.float32), photometric="rgb"), SETTINGS).pixels
    assert np.abs(pixels[3:].astype(int) - COLOURS[3:]).mean() < 1


@pytest.mark.parametrize("values", [SHARES.astype(np.float32), COLOURS.astype(np.uint16)])
def test_half_of_a_deep_picture_is_no_photo(values: np.ndarray) -> None:
    data = written(values, photometric="rgb")
    with pytest.raises(PhotoError, match=r"truncated|damaged"):
        decode_photo(data[: len(data) // 2], SETTINGS)


def test_what_cannot_be_shown_is_called_what_it_is() -> None:
    with pytest.raises(PhotoError, match=r"of a kind that is not supported \(64 bits, RGB, NONE, complex64\)"):
        decode_photo(written(COLOURS.astype(np.complex64), photometric="rgb"), SETTINGS)


def test_large_deep_pictures_are_refused_in_the_header() -> None:
    with pytest.raises(PhotoError, match=r"4,800 pixels \(80 x 60\), more than"):
        decode_photo(written(SHARES.astype(np.float32), photometric="rgb"), ReadSettings(max_pixels=4_799))
