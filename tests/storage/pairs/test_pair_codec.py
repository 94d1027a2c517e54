import numpy as np
import pyarrow as pa
import pytest

from facerecon_ray.errors import StorageError
from facerecon_ray.storage.pairs.pair_codec import pack_image, pack_map, unpack_image, unpack_map


def smooth_map() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0.2, 0.8, 256), np.linspace(0.3, 0.7, 256))
    return np.stack([x, y, 0.5 + 0.1 * np.sin(5 * x * y)], -1).astype(np.float16)


def test_a_map_comes_back_to_the_bit_even_with_negative_values_and_zeros() -> None:
    noise = np.random.default_rng(0).normal(0.0, 1.0, (256, 256, 3)).astype(np.float16)
    noise[:9] = 0.0
    for values in (noise, smooth_map()):
        np.testing.assert_array_equal(unpack_map(pack_map(values), 256), values)


def test_a_packed_map_is_a_quarter_as_large_as_the_plain_one_after_zstd() -> None:
    codec = pa.Codec("zstd")
    plain, packed = (len(codec.compress(data)) for data in (smooth_map().tobytes(), pack_map(smooth_map())))
    assert packed < plain / 4


def test_png_is_lossless_and_jpeg_keeps_colours_in_their_place() -> None:
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, :128] = (200, 40, 30)
    image[:, 128:] = (20, 60, 220)
    np.testing.assert_array_equal(unpack_image(pack_image(image, "png")), image)
    difference = np.abs(unpack_image(pack_image(image, "jpeg")).astype(int) - image)
    assert difference.max() < 12, "colours at half resolution would bleed over the edge"


def test_bytes_that_are_no_picture_or_map_are_refused() -> None:
    for unpack in (unpack_image, lambda data: unpack_map(data, 256)):
        for data in (b"", b"nonsense"):
            with pytest.raises(StorageError):
                unpack(data)
