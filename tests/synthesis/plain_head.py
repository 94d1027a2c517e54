"""A head that needs no subject: the face model's mean with a coloured texture, and a card of strips beside it."""

import cv2
import numpy as np

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.rendering.camera_effects import CameraEffects
from facerecon_ray.synthesis.rendering.head_scene import SKIN, HeadScene, Part
from facerecon_ray.synthesis.rendering.lighting import HARMONIC_0, Light
from facerecon_ray.synthesis.rendering.view_sampling import View


def plain_head(card: bool = False) -> HeadScene:
    model = FaceModel.default()
    mean = model.mean.numpy()
    coarse = np.random.default_rng(0).uniform(60.0, 230.0, (12, 12, 3)).astype(np.float32)
    texture = cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    around = np.arctan2(mean[:, 0], mean[:, 2] + 0.05) / (2 * np.pi) + 0.5
    uv = np.stack([around, 0.5 - mean[:, 1] / 0.4], 1).clip(0.0, 1.0).astype(np.float32)
    skin = Part(mean, model.closed_triangles.numpy(), uv, texture, gloss=0.35, translucency=1.0, name=SKIN)
    return HeadScene((skin, _card()) if card else (skin,), mean, {}, 0)


def _card() -> Part:
    """Vertical strips 2 cm before the nose on the subject's left, with holes between them."""
    column, row = np.meshgrid(np.linspace(0.0, 0.08, 9), np.linspace(-0.08, 0.08, 9))
    vertices = np.stack([column, -row, np.full_like(column, 0.10)], -1).reshape(-1, 3).astype(np.float32)
    index = np.arange(81).reshape(9, 9)
    a, b, c, d = (corner.ravel() for corner in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    uv = np.stack([column / 0.08, row / 0.16 + 0.5], -1).reshape(-1, 2).astype(np.float32)
    texture = np.full((64, 64, 4), (30, 60, 160, 255), np.uint8)
    texture[:, np.arange(64) % 16 < 6, 3] = 0
    return Part(vertices, triangles, uv, texture, gloss=0.5, two_sided=True, name="card")


def plain_light(surround: float = 1.0, lamp: tuple[float, float, float] | None = (0.4, 0.6, 0.7)) -> Light:
    """An even surround and, where asked for, a lamp as bright as twice a surround of 1."""
    environment = np.zeros((9, 3), np.float32)
    environment[0] = surround / HARMONIC_0
    towards = np.array([lamp] if lamp else np.zeros((0, 3)), np.float32)
    towards = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    return Light(environment, towards, np.full((len(towards), 3), 2.0, np.float32), np.full(len(towards), 12.0))


def plain_view(angles: tuple[float, float, float] = (0.0, 0.0, 0.0), size: int = 160, seed: int = 1) -> View:
    return View(angles, 1.0, 3.0 * size, (size / 2, size / 2), size, plain_light(), CameraEffects(), seed)
