from dataclasses import asdict

import cv2
import numpy as np
import pytest
import torch

from facerecon_ray.synthesis.batched.camera import as_jpeg, take_photos
from facerecon_ray.synthesis.rendering.camera_effects import REFERENCE_SIZE, CameraEffects, take_photo

SIZE = 128


def light() -> np.ndarray:
    """(S, S, 3) smooth and sharp things, some brighter than white."""
    coarse = np.random.default_rng(0).uniform(0.0, 1.4, (10, 10, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC).clip(0.0, None)
    picture[40:70, 50:90] *= 0.3
    return picture


def batched(pictures: list[np.ndarray], effects: list[CameraEffects]) -> np.ndarray:
    rows = {
        name: torch.tensor([asdict(one)[name] for one in effects], dtype=torch.float32)
        for name in asdict(effects[0])
        if name != "seed"
    }
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    scale = torch.full((len(effects),), SIZE / REFERENCE_SIZE)
    photos = take_photos(stacked, rows, scale, torch.Generator().manual_seed(0))
    return photos.round().permute(0, 2, 3, 1).numpy()


ONE_BY_ONE = [
    (CameraEffects(), 1.0),
    (CameraEffects(balance=(1.2, 1.0, 0.8), vignette=0.5), 1.0),
    (CameraEffects(contrast=1.25, saturation=0.6), 1.0),
    (CameraEffects(saturation=0.0, sepia=True), 1.0),
    (CameraEffects(defocus=4.0), 1.5),
    (CameraEffects(motion=(12.0, 30.0)), 1.5),
    (CameraEffects(resolution=0.5), 4.0),
    (CameraEffects(jpeg_quality=40), 3.0),
]


def test_each_effect_is_the_one_of_single_photos_whoever_else_is_in_the_batch() -> None:
    effects = [one for one, _ in ONE_BY_ONE]
    photos = batched([light()] * len(effects), effects)
    plain = take_photo(light(), CameraEffects()).astype(float)
    for photo, (one, most) in zip(photos, ONE_BY_ONE, strict=True):
        alone = take_photo(light(), one).astype(float)
        assert np.abs(photo - alone).mean() < most / 3, one
        if one != CameraEffects():
            assert np.abs(photo - alone).mean() < 0.25 * np.abs(alone - plain).mean(), "the effect itself is larger"


def test_noise_is_as_strong_as_in_single_photos() -> None:
    grey, effects = np.full((SIZE, SIZE, 3), 0.2, np.float32), CameraEffects(noise=0.03)
    (photo,) = batched([grey], [effects])
    assert photo.std() == pytest.approx(take_photo(grey, effects).astype(float).std(), rel=0.05)


@pytest.mark.parametrize("quality", [30, 60, 95])
def test_stored_pictures_lose_what_jpeg_files_lose(quality: int) -> None:
    picture = (light().clip(0, 1) * 255).astype(np.uint8)
    stored = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB).astype(float)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    found = as_jpeg(tensor, torch.tensor([float(quality)]))[0].permute(1, 2, 0).numpy()
    lost = np.abs(decoded - picture).mean()
    assert np.abs(found - decoded).mean() < 0.25 * lost + 0.4, "whole numbers are rounded twice"
    assert np.abs(found - picture).mean() == pytest.approx(lost, rel=0.1)
