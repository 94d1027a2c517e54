import numpy as np
import pytest

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.portraits.photo_colouring import (
    SkinColouring,
    StoredTexture,
    encode_reflectance,
    skin_tone,
)
from facerecon_ray.synthesis.portraits.photo_texture import GAMMA, LUMINANCE
from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout


@pytest.fixture(scope="module")
def colouring(geometry: HeadGeometry) -> SkinColouring:
    return SkinColouring(SkinLayout.of(FaceModel.default(), geometry))


def _texture(coloured: bool) -> StoredTexture:
    plain = encode_reflectance(np.full((512, 512, 3), 1.0))
    return StoredTexture(plain, np.full((512, 512), 255, np.uint8), np.array([0.5, 0.3, 0.2]), coloured)


def test_more_melanin_is_darker_and_all_skin_is_redder_than_blue() -> None:
    tones = np.array([skin_tone(melanin, 0.0) for melanin in np.linspace(0.0, 1.0, 9)])
    assert (np.diff(tones @ LUMINANCE) < 0).all()
    assert (tones[:, 0] > tones[:, 1]).all()
    assert (tones[:, 1] > tones[:, 2]).all()


@pytest.mark.parametrize("coloured", [False, True])
def test_skin_gets_the_tone_that_is_asked_for(colouring: SkinColouring, coloured: bool) -> None:
    for melanin in (0.1, 0.8):
        tone = skin_tone(melanin, 0.0)
        image = colouring(_texture(coloured), np.random.default_rng(1), tone)
        found = colouring.tone_of(image)
        assert np.abs(255.0 * (found ** (1.0 / GAMMA) - tone ** (1.0 / GAMMA))).max() < 6.0


def test_greyscale_photos_become_people_of_all_tones_reproducibly(colouring: SkinColouring) -> None:
    images = [colouring(_texture(False), np.random.default_rng(seed)) for seed in range(12)]
    tones = np.array([colouring.tone_of(image) for image in images])
    brightness = tones @ LUMINANCE
    assert brightness.max() > 4.0 * brightness.min()
    np.testing.assert_array_equal(images[3], colouring(_texture(False), np.random.default_rng(3)))


def test_dark_hair_is_as_dark_on_light_skin_and_stands_out_less_from_dark_skin(colouring: SkinColouring) -> None:
    brow = encode_reflectance(np.full((512, 512, 3), 0.3))
    texture = StoredTexture(brow, np.full((512, 512), 255, np.uint8), np.array([0.4, 0.4, 0.4]), False)
    relative = []
    for melanin in (0.0, 1.0):
        tone = skin_tone(melanin, 0.0)
        image = colouring(texture, np.random.default_rng(0), tone)
        relative.append(float(colouring.tone_of(image) @ LUMINANCE) / float(tone @ LUMINANCE))
    assert relative[0] == pytest.approx(0.3, abs=0.05)
    assert relative[1] > relative[0] + 0.05
