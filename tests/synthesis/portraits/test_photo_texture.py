"""Textures of a head that was painted and lit here, so that the true reflectance is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facerecon_ray.config.photos import PhotoFitSettings, PhotoTextureSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.model_building.head_rendering import frontal_camera
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.portraits.photo_fit import FittedPhoto, PhotoFitter
from facerecon_ray.synthesis.portraits.photo_texture import GAMMA, LUMINANCE, TextureTaker
from facerecon_ray.synthesis.portraits.skin_layout import SkinLayout

PHOTOS = Path(__file__).parents[3] / "facerecon_ray" / "assets" / "photos"
SIZE = 400
LAMP = np.array([0.45, -0.35, 0.82], np.float32)


@pytest.fixture(scope="module")
def layout(geometry: HeadGeometry) -> SkinLayout:
    return SkinLayout.of(FaceModel.default(), geometry)


@pytest.fixture(scope="module")
def taker(layout: SkinLayout) -> TextureTaker:
    return TextureTaker(FaceModel.default(), layout, PhotoTextureSettings(most_frame_contrast=10.0, most_shadow=1.0))


def _pattern(place: np.ndarray) -> np.ndarray:
    """Soft spots on the skin, another on each side: reflectance around 1."""
    return 1.0 + 0.12 * np.sin(place[..., 0] * 260.0 + 0.7) * np.cos(place[..., 1] * 220.0)


def _photo(yaw: float) -> FittedPhoto:
    """The mean head with the pattern, in light from the right of the picture."""
    model = FaceModel.default()
    camera = frontal_camera(torch.tensor([[yaw, 0.0, 0.0]]), SIZE, 0.6)
    points = camera.project(model.mean[None])
    fragments = rasterize(points, model.triangles, SIZE, SIZE, cull_back=True)
    normals = vertex_normals(points, model.triangles)
    seen = interpolate(fragments, model.triangles, torch.cat([model.mean[None], normals], -1))[0].numpy()
    light = 0.12 + 0.3 * (seen[..., 3:] @ LAMP).clip(0.0)
    linear = np.where(fragments.mask[0].numpy(), _pattern(seen[..., :3]) * light, 0.5)
    pixels = np.round(255.0 * linear[..., None].repeat(3, 2).clip(0.0, 1.0) ** (1.0 / GAMMA)).astype(np.uint8)
    landmarks = projected_landmarks(model, model.mean[None], camera)[0, :, :2].numpy()
    none = torch.zeros(0)
    return FittedPhoto(pixels, points[0], model.mean, camera, none, none, landmarks, 0.0)


def _cheek(layout: SkinLayout, side: float) -> np.ndarray:
    """(P,) bool; side is 1 for the subject's left."""
    x, y, z = layout.place.T
    return (np.abs(x * side - 0.035) < 0.012) & (np.abs(y) < 0.015) & (z > 0.0)


@pytest.mark.parametrize("yaw", [0.0, 15.0])
def test_reflectance_is_found_and_the_light_is_gone(layout: SkinLayout, taker: TextureTaker, yaw: float) -> None:
    taken = taker(_photo(yaw), np.random.default_rng(0))
    found = taken.reflectance[layout.shown.numpy()] @ LUMINANCE
    for side in (1.0, -1.0):
        cheek = _cheek(layout, side)
        assert np.corrcoef(found[cheek], _pattern(layout.place)[cheek])[0, 1] > 0.8
    lit, dark = (found[_cheek(layout, side)].mean() for side in (1.0, -1.0))
    assert abs(lit / dark - 1.0) < 0.05, "the lamp makes one cheek brighter than the other in the photo"
    assert not taken.coloured


def test_what_the_photo_does_not_show_is_filled_smoothly(layout: SkinLayout, taker: TextureTaker) -> None:
    taken = taker(_photo(0.0), np.random.default_rng(0))
    shown = layout.shown.numpy()
    back = layout.place[:, 2] < -0.08
    assert taken.known[shown][back].max() == 0.0
    values = taken.reflectance[shown][back]
    assert np.abs(values - 1.0).mean() < 0.1, "far from the face it is plain skin"
    assert np.isfinite(taken.reflectance).all()
    assert taken.reflectance[shown].min() > 0.0


def test_eyes_and_mouth_are_not_in_the_skin(layout: SkinLayout, taker: TextureTaker) -> None:
    known = taker(_photo(0.0), np.random.default_rng(0)).known[layout.shown.numpy()]
    assert known[layout.to_eye < 0.0009].max() == 0.0
    assert known[layout.to_mouth < 0.0003].max() == 0.0
    assert known[(layout.to_eye > 0.006) & _cheek(layout, 1.0)].min() > 0.9


def test_brows_are_the_photos_own(layout: SkinLayout, taker: TextureTaker) -> None:
    known = taker(_photo(0.0), np.random.default_rng(0)).known[layout.shown.numpy()]
    across, height = np.abs(layout.place[:, 0]), layout.place[:, 1]
    outer = (across > 0.030) & (across < 0.045) & (height > 0.048) & (height < 0.058) & (layout.place[:, 2] > 0.0)
    assert outer.sum() > 50
    assert known[outer].min() > 0.5, "they lie beyond the eye's opening, seen from the nose"


def test_glasses_are_noticed(layout: SkinLayout) -> None:
    model = FaceModel.default()
    fit = PhotoFitter(PhotoFitSettings(), model)
    taker = TextureTaker(model, layout, PhotoTextureSettings())
    bare = taker(fit((PHOTOS / "eileen_collins.jpg").read_bytes()), np.random.default_rng(0))
    assert bare.coloured
    assert bare.tone[0] > bare.tone[1] > bare.tone[2], "skin is redder than it is blue"
    with pytest.raises(PhotoError, match="glasses"):
        taker(fit((PHOTOS / "grace_hopper.jpg").read_bytes()), np.random.default_rng(0))
