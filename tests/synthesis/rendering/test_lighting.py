from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_head import plain_light

from facerecon_ray.config.synthesis import LightSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.rendering.cast_shadows import cast_shadows
from facerecon_ray.synthesis.rendering.lighting import HeadShadows, LightTransfer, directions, sample_light

SKIN = np.array([0.5, 0.3, 0.2], np.float32)


@pytest.fixture(scope="module")
def mean() -> np.ndarray:
    return FaceModel.default().mean.numpy()


@pytest.fixture(scope="module")
def normals(mean: np.ndarray) -> np.ndarray:
    return vertex_normals(torch.from_numpy(mean)[None], FaceModel.default().triangles, frame="model")[0].numpy()


def transfer(mean: np.ndarray, normals: np.ndarray, vertices: np.ndarray, facing: np.ndarray) -> LightTransfer:
    count = len(vertices)
    ones, none = np.ones(count, np.float32), np.zeros(count, np.float32)
    return LightTransfer.of(HeadShadows.of_default_model(), mean, normals, vertices, facing, ones, none, ones > 0.0)


def test_even_light_shows_free_surfaces_in_their_own_colour(mean: np.ndarray, normals: np.ndarray) -> None:
    facing = directions()[::7]
    far = (facing * 0.5).astype(np.float32)
    light = transfer(mean, normals, far, facing).light(plain_light(1.0, None).radiance(directions()), SKIN)
    assert np.abs(light - 1.0).max() < 0.02


def test_a_lamp_follows_the_cosine_and_keeps_its_power(mean: np.ndarray, normals: np.ndarray) -> None:
    towards = np.array([0.0, 0.0, 1.0])
    angles = np.radians([0.0, 30.0, 60.0])
    facing = np.stack([np.sin(angles), 0.0 * angles, np.cos(angles)], 1).astype(np.float32)
    lamp = plain_light(0.0, tuple(towards))
    light = transfer(mean, normals, facing * 0.5, facing).light(lamp.radiance(directions()), SKIN)
    assert np.allclose(light[:, 0], 2.0 * np.cos(angles), atol=0.12)


def test_light_from_above_does_not_reach_the_throat_nor_light_from_behind_the_face(
    mean: np.ndarray, normals: np.ndarray
) -> None:
    whole = transfer(mean, normals, mean, normals)
    forehead = (mean[:, 1] > 0.04) & (mean[:, 2] > 0.04)
    throat = (mean[:, 1] < -0.075) & (mean[:, 1] > -0.10) & (mean[:, 2] > 0.0) & (np.abs(mean[:, 0]) < 0.03)
    above = whole.light(plain_light(0.0, (0.0, 1.0, 0.3)).radiance(directions()), SKIN)[:, 0]
    behind = whole.light(plain_light(0.0, (0.0, 0.2, -1.0)).radiance(directions()), SKIN)[:, 0]
    assert throat.sum() > 5
    assert above[forehead].mean() > 5 * above[throat].mean()
    assert behind[forehead].mean() < 0.05


def test_what_is_inside_the_head_is_dark(mean: np.ndarray, normals: np.ndarray) -> None:
    front = mean[:, 2] > 0.04
    inside = mean[front] - 0.02 * normals[front]
    even = plain_light(1.0, None).radiance(directions())
    outside = transfer(mean, normals, mean[front], normals[front]).light(even, SKIN)
    assert transfer(mean, normals, inside, normals[front]).light(even, SKIN).mean() < 0.4 * outside.mean()


def test_hollows_are_lit_by_the_skin_around_them(mean: np.ndarray, normals: np.ndarray) -> None:
    whole, even = transfer(mean, normals, mean, normals), plain_light(1.0, None).radiance(directions())
    light, dark = whole.light(even, SKIN), whole.light(even, 0.2 * SKIN)
    hollow, free = whole.hidden > 0.4, whole.hidden < 0.01
    assert hollow.sum() > 20
    assert (light - dark)[hollow, 0].min() > 0.05
    assert (light - dark)[free].max() < 0.01


def test_a_mirror_shows_where_the_surroundings_are_bright() -> None:
    light = plain_light(0.0, (0.0, 0.0, 1.0))
    brighter_above = replace(plain_light(1.0, None), environment=_above())
    up, down = brighter_above.surround(np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]], np.float32))[:, 0]
    assert up > 3.0 * down > 0.0
    assert light.surround(directions()).max() < 0.01, "lamps are mirrored by themselves"


def _above() -> np.ndarray:
    environment = np.zeros((9, 3), np.float32)
    environment[0], environment[1] = 1.0 / 0.28209479, 0.7 / 0.48860251
    return environment


def test_a_brim_shades_the_face_from_above_and_not_from_the_front(mean: np.ndarray) -> None:
    place = np.random.default_rng(0).uniform(-1.0, 1.0, (4000, 2))
    brim = np.stack([place[:, 0] * 0.12, np.full(4000, 0.09), 0.08 + place[:, 1] * 0.08], 1)
    blocked = cast_shadows(brim, mean, HeadShadows.of_default_model().smoothing, directions())
    forehead = (np.abs(mean[:, 0]) < 0.02) & (mean[:, 1] > 0.03) & (mean[:, 1] < 0.06) & (mean[:, 2] > 0.03)
    assert forehead.sum() > 5
    above = int((directions() @ (0.0, 0.9, 0.43)).argmax())
    ahead = int((directions() @ (0.0, -0.1, 1.0)).argmax())
    assert blocked[forehead, above].mean() > 0.5
    assert blocked[forehead, ahead].mean() < 0.05


def test_light_is_drawn_from_the_generator_alone_and_stays_positive() -> None:
    settings = LightSettings()
    first, again = (sample_light(settings, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.environment, again.environment)
    for seed in range(50):
        light = sample_light(settings, np.random.default_rng(seed))
        radiance = light.radiance(directions())
        assert (radiance > 0.0).all()
        assert len(light.lamp_directions) <= 2
        lamps = light.lamp_shares(directions()).sum(0)
        assert np.allclose(lamps, 1.0, atol=1e-4)
