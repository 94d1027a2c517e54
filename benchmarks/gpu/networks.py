"""The networks by themselves: how each is built, and what it takes."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from facerecon_ray.config.assets import (
    DETECTOR_WEIGHTS,
    FITTER_WEIGHTS,
    PRNET_WEIGHTS,
    ROTATOR_WEIGHTS,
    TWO_VIEW_WEIGHTS,
)
from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks import face_proposer, fitter, prnet, two_view, view_generator
from facerecon_ray.networks.dlib_models import installed_model
from facerecon_ray.networks.face_descriptor import CHIP_SIZE, MODEL, DescriptorNetwork

PHOTO_SIDE = 640


@dataclass(frozen=True)
class Network:
    """How a network is built, in evaluation mode on the CPU, and the shape (C, H, W) of a picture for it."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, int, int]


def networks(model: FaceModel, quick: bool) -> list[Network]:
    """All of them; a rehearsal has the smaller ones."""
    views = 9 if two_view.corrects_fit(TWO_VIEW_WEIGHTS) else 6
    known = [
        Network(
            "fitter", lambda: fitter.load_weights(FITTER_WEIGHTS, model), (3, fitter.INPUT_SIZE, fitter.INPUT_SIZE)
        ),
        Network("descriptor", lambda: DescriptorNetwork.from_dlib(installed_model(MODEL)), (3, CHIP_SIZE, CHIP_SIZE)),
        Network("rotator", lambda: view_generator.load_weights(ROTATOR_WEIGHTS), (5, CROP_SIZE, CROP_SIZE)),
        Network("two-view", lambda: two_view.load_weights(TWO_VIEW_WEIGHTS), (views, CROP_SIZE, CROP_SIZE)),
        Network("PRNet", lambda: prnet.load_weights(PRNET_WEIGHTS), (3, CROP_SIZE, CROP_SIZE)),
        Network("proposer", lambda: face_proposer.load_weights(DETECTOR_WEIGHTS), (3, PHOTO_SIDE, PHOTO_SIDE)),
    ]
    return known[:1] if quick else known
