import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.photo_file import Photo, decode_photo, encode_photo

SETTINGS = ReadSettings()


def _gradient(height: int = 120, width: int = 160) -> np.ndarray:
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return np.stack([255 * x / width, 255 * y / height, 255 - 200 * x / width], -1).round().astype(np.uint8)


def _encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _difference(photo: Photo, expected: np.ndarray) -> float:
    assert photo.pixels.shape == expected.shape and photo.pixels.dtype == np.uint8
    return float(np.abs(photo.pixels.astype(float) - expected).mean())


def _png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 98}, 1.5),
        ("JPEG", {"quality": 98, "progressive": True}, 1.5),
        ("GIF", {}, 12),
    ],
)
def test_every_format_gives_its_pixels(kind: str, options: dict[str, Any], tolerance: float) -> None:
    expected = _gradient()
    photo = decode_photo(_encode(Image.fromarray(expected), kind, **options), SETTINGS)
    assert (photo.width, photo.height) == (160, 120)
    assert _difference(photo, expected) <= tolerance


@pytest.mark.parametrize(
    ("mode", "kind", "tolerance"),
    [
        ("CMYK", "JPEG", 2),
        ("CMYK", "TIFF", 2),
        ("YCbCr", "TIFF", 2),
        ("RGBA", "PNG", 0),
        ("RGBX", "TIFF", 0),
    ],
)
def test_colour_modes_become_rgb(mode: str, kind: str, tolerance: float) -> None:
    expected = _gradient()
    photo = decode_photo(_encode(Image.fromarray(expected).convert(mode), kind), SETTINGS)
    assert _difference(photo, expected) <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_palettes_become_their_colours(kind: str) -> None:
    image = Image.fromarray(_gradient()).quantize(64)
    assert _difference(decode_photo(_encode(image, kind), SETTINGS), np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("L", "JPEG"), ("LA", "PNG"), ("1", "PNG"), ("1", "TIFF"), ("L", "GIF")]
)
def test_grey_modes_have_three_equal_channels(mode: str, kind: str) -> None:
    image = Image.fromarray(_gradient()).convert(mode)
    photo = decode_photo(_encode(image, kind), SETTINGS)
    assert _difference(photo, np.asarray(image.convert("RGB"))) < 1
    assert np.all(photo.pixels == photo.pixels[..., :1])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((np.arange(0, 256, dtype=np.uint16) * 257)[None].repeat(9, 0), "PNG"),
        ((np.arange(0, 256, dtype=np.uint16) * 257)[None].repeat(9, 0), "TIFF"),
        (np.arange(0, 256, dtype=np.int32)[None].repeat(9, 0), "TIFF"),
        ((np.arange(0, 256, dtype=np.int32) * 257)[None].repeat(9, 0), "TIFF"),
        ((np.arange(0, 256, dtype=np.float32) / 255)[None].repeat(9, 0), "TIFF"),
        (np.arange(0, 256, dtype=np.float32)[None].repeat(9, 0), "TIFF"),
        (np.linspace(-7, 9, 256, dtype=np.float32)[None].repeat(9, 0), "TIFF"),
    ],
    ids=["16-bit PNG", "16-bit TIFF", "8 of 32 bits", "16 of 32 bits", "float to 1", "float to 255", "negative float"],
)
def test_deep_greys_keep_their_range(values: np.ndarray, kind: str) -> None:
    photo = decode_photo(_encode(Image.fromarray(values), kind), SETTINGS)
    assert _difference(photo, np.arange(256)[None, :, None] + np.zeros((9, 256, 3))) < 0.01


def test_float_picture_without_contrast_and_with_gaps_is_decoded() -> None:
    values = np.full((5, 5), 1e9, np.float32)
    values[0, 0] = np.nan
    assert decode_photo(_encode(Image.fromarray(values), "TIFF"), SETTINGS).pixels.shape == (5, 5, 3)


def test_16_bit_colour_png_keeps_its_colours() -> None:
    expected = _gradient()
    deep = (expected.astype(">u2") * 257).tobytes()
    stride = 160 * 6
    rows = b"".join(b"\0" + deep[i : i + stride] for i in range(0, len(deep), stride))
    assert _difference(decode_photo(_png(160, 120, depth=16, rows=rows), SETTINGS), expected) <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_become_white(mode: str) -> None:
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (10, 0, 20, 10))
    data = _encode(image.quantize() if mode == "PA" else image.convert(mode))
    pixels = decode_photo(data, SETTINGS).pixels
    assert np.all(pixels[:, :10] == 255) and np.all(pixels[:, 10:] == 0)


def test_first_picture_of_an_animation_is_used() -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        photo = decode_photo(_encode(frames[0], kind, save_all=True, append_images=frames[1:]), SETTINGS)
        assert np.abs(photo.pixels.astype(int) - (250, 0, 0)).max() < 6, kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_made_upright(kind: str, orientation: int) -> None:
    upright = Image.fromarray(_gradient())
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode_photo(_encode(stored, kind, exif=exif, quality=98), SETTINGS)
    assert (photo.width, photo.height) == (160, 120)
    assert _difference(photo, _gradient()) < 2


def test_broken_exif_does_not_cost_the_photo() -> None:
    data = _encode(Image.fromarray(_gradient()), "JPEG", exif=b"Exif\0\0no such byte order")
    assert decode_photo(data, SETTINGS).pixels.shape == (120, 160, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_photo_is_scaled_and_remembers_its_size(kind: str) -> None:
    photo = decode_photo(_encode(Image.fromarray(_gradient(1501, 2003)), kind, quality=95), ReadSettings(max_side=500))
    assert photo.pixels.shape == (375, 500, 3)
    assert (photo.width, photo.height) == (2003, 1501)
    assert photo.to_original == pytest.approx([2003 / 500, 1501 / 375])
    y, x = (np.mgrid[:375, :500] + 0.5) * np.array([1501 / 375, 2003 / 500])[:, None, None]
    assert np.abs(photo.pixels[..., 0] - 255 * (x - 0.5) / 2003).max() < 3
    assert np.abs(photo.pixels[..., 1] - 255 * (y - 0.5) / 1501).max() < 3


def test_small_photo_keeps_its_pixels() -> None:
    assert decode_photo(_encode(Image.fromarray(_gradient(3, 1))), SETTINGS).pixels.shape == (3, 1, 3)


def test_line_of_pixels_is_scaled_to_at_least_one() -> None:
    line = _encode(Image.new("RGB", (5000, 2)))
    assert decode_photo(line, ReadSettings(max_side=1024)).pixels.shape == (1, 1024, 3)
    assert decode_photo(line, SETTINGS, lambda longest: longest / 5).pixels.shape == (1, 1000, 3)


def _half(kind: str) -> bytes:
    data = _encode(Image.fromarray(_gradient()), kind)
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"hello, this is text and no photo", "not a JPEG, HEIC, PNG, WebP, AVIF, JPEG XL, TIFF, BMP or GIF image"),
        (b"%PDF-1.4 something", "not a JPEG, HEIC, PNG"),
        (b"\xff\xd8", "not a JPEG, HEIC, PNG"),
        (_half("JPEG"), "the image is truncated"),
        (_half("JPEG")[:40], "damaged|truncated"),
        (_half("PNG"), "the image is truncated"),
        (_half("TIFF"), "truncated|damaged"),
        (_half("WEBP"), "truncated|damaged"),
        (_half("GIF"), "the image is truncated"),
        (_half("BMP"), "the image is truncated"),
        (_png(0, 10), "no pixels|damaged"),
        (_png(10, 10, colour=7), "damaged"),
        (_png(20_000, 20_000), r"400,000,000 pixels \(20000 x 20000\), more than read.max_pixels = 100,000,000"),
        (_png(12_000, 9_000), "108,000,000 pixels"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_unusable_photo_says_why_in_one_sentence(data: bytes, reason: str) -> None:
    with pytest.raises(PhotoError, match=reason) as caught:
        decode_photo(data, SETTINGS)
    assert "\n" not in str(caught.value)


def test_limits_are_settings() -> None:
    data = _encode(Image.fromarray(_gradient()))
    with pytest.raises(PhotoError, match=r"19,200 pixels \(160 x 120\), more than read.max_pixels = 19,199"):
        decode_photo(data, ReadSettings(max_pixels=19_199))
    with pytest.raises(PhotoError, match=r"bytes, more than read\.max_bytes = 100"):
        decode_photo(data, ReadSettings(max_bytes=100))
    assert decode_photo(data, ReadSettings(max_pixels=19_200, max_bytes=len(data))).width == 160


def test_pil_limits_stay_as_they_are() -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode_photo(_encode(Image.fromarray(_gradient())), SETTINGS)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "HSV", "I", "F"]
)
def test_images_of_every_mode_of_pil_become_files(mode: str) -> None:
    expected = Image.fromarray(_gradient())
    if mode in ("La", "RGBa"):
        image = expected.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    elif mode == "PA":
        image = expected.convert("P").convert("PA")
    else:
        image = expected.convert(mode)
    shown = image.convert("LA") if mode == "La" else image
    assert _difference(decode_photo(encode_photo(image), SETTINGS), np.asarray(shown.convert("RGB"))) < 2


def test_transparency_orientation_and_profile_of_an_image_stay() -> None:
    image = Image.fromarray(_gradient()).quantize(16).rotate(90, expand=True)
    image.info["transparency"] = int(np.asarray(image)[0, 0])
    image.info["icc_profile"] = b"kept as it is"
    image.getexif()[0x0112] = 6
    data = encode_photo(image)
    photo = decode_photo(data, SETTINGS)
    assert (photo.width, photo.height) == (160, 120)
    assert b"kept as it is" in data
    assert np.all(photo.pixels[0, -1] == 255)
