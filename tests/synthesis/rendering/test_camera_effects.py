from dataclasses import replace

import numpy as np
import pytest

from facerecon_ray.config.synthesis import CameraSettings
from facerecon_ray.synthesis.rendering.camera_effects import CameraEffects, sample_effects, take_photo, to_linear

MIDDLE = np.full((64, 64, 3), 0.2, np.float32)


def test_a_plain_camera_gives_back_display_values_below_the_shoulder() -> None:
    display = np.arange(0, 190, dtype=np.uint8)[None, :, None].repeat(3, 2).repeat(190, 0)
    assert np.abs(take_photo(to_linear(display), CameraEffects()).astype(int) - display).max() <= 1


def test_bright_light_rolls_off_without_ever_getting_darker() -> None:
    ramp = np.linspace(0.0, 4.0, 256, dtype=np.float32)[None, :, None].repeat(3, 2).repeat(256, 0)
    for contrast in (0.8, 1.0, 1.25):
        row = take_photo(ramp, CameraEffects(contrast=contrast))[0, :, 0].astype(int)
        assert (np.diff(row) >= 0).all()
        assert row[64] < row[128] <= 255


def test_noise_has_the_stated_size_at_middle_grey() -> None:
    photo = take_photo(MIDDLE, CameraEffects(noise=0.03, seed=3)).astype(float) / 255.0
    assert photo.std() == pytest.approx(0.03, rel=0.1)


def test_colourless_photos_are_grey_and_sepia_ones_are_brown() -> None:
    light = np.random.default_rng(0).uniform(0.0, 0.5, (32, 32, 3)).astype(np.float32)
    grey = take_photo(light, CameraEffects(saturation=0.0))
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1
    sepia = take_photo(light, CameraEffects(saturation=0.0, sepia=True)).mean((0, 1))
    assert sepia[0] > sepia[1] > sepia[2]


@pytest.mark.parametrize(
    "change", [{"defocus": 2.0}, {"motion": (8.0, 30.0)}, {"resolution": 0.3}, {"jpeg_quality": 10}]
)
def test_losses_take_away_detail(change: dict[str, object]) -> None:
    light = np.random.default_rng(1).uniform(0.0, 0.4, (320, 320, 3)).astype(np.float32)
    sharp, lossy = (take_photo(light, effects) for effects in (CameraEffects(), replace(CameraEffects(), **change)))
    assert np.abs(np.diff(lossy.astype(int), axis=1)).mean() < 0.8 * np.abs(np.diff(sharp.astype(int), axis=1)).mean()


def test_the_same_camera_takes_the_same_photo_again() -> None:
    effects = sample_effects(CameraSettings(), np.random.default_rng(9))
    assert effects == sample_effects(CameraSettings(), np.random.default_rng(9))
    assert np.array_equal(take_photo(MIDDLE, effects), take_photo(MIDDLE, effects))


def test_shares_of_the_settings_are_kept() -> None:
    rng = np.random.default_rng(0)
    drawn = [sample_effects(CameraSettings(grey_share=0.3, jpeg_share=0.5), rng) for _ in range(600)]
    assert np.mean([effects.saturation == 0.0 for effects in drawn]) == pytest.approx(0.3, abs=0.06)
    assert np.mean([effects.jpeg_quality > 0 for effects in drawn]) == pytest.approx(0.5, abs=0.06)
