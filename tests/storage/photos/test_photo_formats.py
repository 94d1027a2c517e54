import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from pillow_jxl.JpegXLImagePlugin import JXLImageFile

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.photo_file import decode_photo
from facerecon_ray.storage.photos.photo_formats import format_of

SETTINGS = ReadSettings()
ROTATE_90 = Image.Transpose.ROTATE_90

pillow_heif.register_heif_opener()
assert JXLImageFile.format == "JXL"


@pytest.fixture(scope="module")
def gradient() -> np.ndarray:
    """(120, 160, 3) uint8, no two corners alike."""
    y, x = np.mgrid[:120, :160]
    return np.stack([255 * x / 160, 255 * y / 120, 255 - 200 * x / 160], -1).round().astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    contents = io.BytesIO()
    image.save(contents, kind, **options)
    return contents.getvalue()


def difference(data: bytes, expected: np.ndarray) -> float:
    pixels = decode_photo(data, SETTINGS).pixels
    assert pixels.shape == expected.shape
    return float(np.abs(pixels.astype(float) - expected).mean())


def turned_by_property(data: bytes, quarters: int) -> bytes:
    """A HEIC file whose box of colours is replaced by one that turns the picture counter-clockwise."""
    start = data.index(b"colr") - 4
    size = int.from_bytes(data[start : start + 4], "big")
    turn = (struct.pack(">I", size) + b"irot" + bytes([quarters])).ljust(size, b"\0")
    return data[:start] + turn + data[start + size :]


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JXL"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_phone_formats_give_their_pixels(kind: str, mode: str, gradient: np.ndarray) -> None:
    image = Image.fromarray(gradient).convert(mode)
    assert difference(encoded(image, kind, quality=95), np.asarray(image.convert("RGB"))) < 2


def test_deep_heic_and_the_main_one_of_several_pictures(gradient: np.ndarray) -> None:
    deep = pillow_heif.from_bytes("RGB;16", (160, 120), (gradient.astype(np.uint16) * 257).tobytes())
    several = pillow_heif.from_pillow(Image.new("RGB", (64, 64)))
    several.add_from_pillow(Image.fromarray(gradient))
    for picture, options in ((deep, {}), (several, {"save_all": True, "primary_index": 1})):
        contents = io.BytesIO()
        picture.save(contents, quality=95, **options)
        assert difference(contents.getvalue(), gradient) < 2


@pytest.mark.parametrize("said_in_exif_too", [False, True])
def test_a_turn_that_a_heic_says_twice_is_made_once(said_in_exif_too: bool, gradient: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6 if said_in_exif_too else 1
    lying = Image.fromarray(gradient).transpose(ROTATE_90)
    data = turned_by_property(encoded(lying, "HEIF", quality=95, exif=exif), 3)
    photo = decode_photo(data, SETTINGS)
    assert (photo.width, photo.height) == (160, 120)
    assert difference(data, gradient) < 2


def test_avif_is_turned_once(gradient: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(gradient).transpose(ROTATE_90)
    assert difference(encoded(lying, "AVIF", quality=95, exif=exif), gradient) < 2


def test_a_recompressed_jpeg_keeps_the_turn_of_its_exif(gradient: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    Image.fromarray(gradient).transpose(ROTATE_90).save(path, quality=98, exif=exif)
    with Image.open(path) as lying:
        assert difference(encoded(lying, "JXL", lossless_jpeg=True), gradient) < 2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
def test_brands_tell_formats_in_equal_containers_apart(data: bytes, name: str) -> None:
    assert format_of(data).name == name


def test_a_video_in_the_same_container_is_no_photo() -> None:
    with pytest.raises(PhotoError, match="not a JPEG, HEIC, PNG, WebP, AVIF, JPEG XL, TIFF, BMP or GIF image"):
        format_of(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [("HEIF", "pi_heif", "pi-heif"), ("JXL", "facerecon_ray.storage.photos.jpeg_xl", "pillow-jxl-plugin")],
)
def test_a_missing_decoder_is_named(
    kind: str, module: str, package: str, gradient: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(Image.fromarray(gradient), kind)
    monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    with pytest.raises(PhotoError, match=f"decoded by the package {package}, .* pip install {package}"):
        decode_photo(data, SETTINGS)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JXL"])
def test_half_of_a_file_is_no_photo_and_large_ones_are_refused_in_the_header(kind: str, gradient: np.ndarray) -> None:
    data = encoded(Image.fromarray(gradient), kind)
    with pytest.raises(PhotoError, match=r"truncated|damaged"):
        decode_photo(data[: len(data) // 2], SETTINGS)
    with pytest.raises(PhotoError, match=r"19,200 pixels \(160 x 120\), more than"):
        decode_photo(data, ReadSettings(max_pixels=19_199))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def damaged(part: bytes) -> bytes:
    return part[:-1] + bytes([part[-1] ^ 255])


LONG = b"a" * 2_000_000


@pytest.mark.parametrize(
    "part",
    [
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG)),
        chunk(b"tEXt", b"Comment\0" + LONG * 40),
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(LONG)),
        damaged(chunk(b"tEXt", b"Comment\0text")),
    ],
    ids=["compressed text", "international text", "80 MB", "profile", "checksum"],
)
@pytest.mark.parametrize("place", [lambda data: 33, lambda data: data.index(b"IEND") - 4], ids=["before", "after"])
def test_what_png_files_carry_beside_the_picture_does_not_cost_it(
    part: bytes, place: Callable[[bytes], int], gradient: np.ndarray
) -> None:
    data = encoded(Image.fromarray(gradient), "PNG")
    assert difference(data[: place(data)] + part + data[place(data) :], gradient) == 0


@pytest.mark.parametrize("alpha", [0, 255])
def test_an_unused_alpha_mask_hides_nothing(alpha: int, gradient: np.ndarray) -> None:
    rows = np.dstack([gradient[::-1, :, ::-1], np.full((120, 160), alpha, np.uint8)]).tobytes()
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 160, 120, 1, 32, 3, len(rows), 2835, 2835, 0, 0) + masks + b"BGRs"
    header = header.ljust(108, b"\0")
    data = b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows
    assert difference(data, gradient) == 0


def test_device_independent_bitmaps_and_multi_picture_jpegs(gradient: np.ndarray) -> None:
    image = Image.fromarray(gradient)
    assert difference(encoded(image, "DIB"), gradient) == 0
    several = encoded(image, "MPO", save_all=True, append_images=[image.rotate(180)], quality=98)
    assert difference(several, gradient) < 1.5


def test_a_jpeg_of_12_bits_is_called_what_it_is(gradient: np.ndarray) -> None:
    data = encoded(Image.fromarray(gradient), "JPEG")
    frame = data.index(b"\xff\xc0")
    with pytest.raises(PhotoError, match=r"damaged or of a kind that is not supported .*12-bit"):
        decode_photo(data[: frame + 4] + b"\x0c" + data[frame + 5 :], SETTINGS)
