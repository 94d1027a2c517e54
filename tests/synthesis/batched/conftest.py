from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_head import plain_head

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.batched.wardrobe import Wardrobe
from facerecon_ray.synthesis.rendering.head_scene import HeadScene

SHAPES = 3


@pytest.fixture(scope="session")
def job() -> SynthesisJob:
    camera = {"grey_share": 0.0, "vignette_share": 0.0, "blur_share": 0.0, "low_resolution_share": 0.0, "noise": 0.0}
    return SynthesisJob.model_validate(
        {
            "output": "unused",
            "views": {"distance": (4.9, 5.0)},
            "camera": {**camera, "jpeg_share": 0.0, "brightness": (1.0, 1.01)},
            "light": {"key_share": 0.0, "second_lamp_share": 0.0, "unevenness": 0.0},
        }
    )


@pytest.fixture(scope="session")
def shapes() -> torch.Tensor:
    """(3, S) coefficients of the heads in the wardrobe."""
    return torch.randn(SHAPES, FaceModel.default().shape_size, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="session")
def scenes(shapes: torch.Tensor) -> list[HeadScene]:
    """Heads that need no package, each with holes in a card before it."""
    model = FaceModel.default()
    surfaces = model.vertices(shapes, torch.zeros(len(shapes), model.expression_size)).numpy()
    return [_shaped(plain_head(card=True), surface) for surface in surfaces]


@pytest.fixture(scope="session")
def wardrobe(scenes: list[HeadScene]) -> Wardrobe:
    return Wardrobe.of(scenes, FaceModel.default())


def _shaped(scene: HeadScene, surface: np.ndarray) -> HeadScene:
    skin, card = scene.parts
    return replace(scene, parts=(replace(skin, vertices=surface), card), surface=surface)
