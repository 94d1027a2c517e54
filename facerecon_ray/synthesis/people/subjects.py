"""Synthetic people: a seed is a person, with a head, a look and an expression; the same seed is the same person.

What is drawn, and over what range, stands here and in the settings; how it looks is painted by the other modules.
"""

from functools import cache, cached_property
from pathlib import Path

import numpy as np

from facerecon_ray.config.synthesis import SubjectSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.appearance.dressing import Dresser
from facerecon_ray.synthesis.appearance.looks import draw_looks
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.expressions import draw_expression
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import HeadScene

ANCESTRIES = ("african", "asian", "caucasian")

AGE_YEARS, AGE_VALUES = (1.0, 10.0, 20.0, 90.0), (0.0, 1 / 3, 2 / 3, 1.0)
"""anny's age value at some ages in years: its baby, child, young and old shapes."""


class SubjectSampler:
    """Makes people from seeds.

    Parameters
    ----------
    settings : ranges and shares, the default ones if None
    geometry : of the heads; without one, of the default face model, worked out once for each process

    Raises
    ------
    AssetError
        when the package anny is not installed
    """

    def __init__(self, settings: SubjectSettings | None = None, geometry: HeadGeometry | None = None) -> None:
        self._settings = settings or SubjectSettings()
        self.geometry = geometry or head_geometry()
        self._heads = self.geometry.heads

    @cached_property
    def dresser(self) -> Dresser:
        """Paints the looks of subjects; made at the first use."""
        return Dresser(self.geometry)

    def dress(self, subject: Subject, photo_skin: np.ndarray | None = None) -> HeadScene:
        """The subject with everything that is seen of it; see `Dresser.dress`."""
        return self.dresser.dress(subject, photo_skin)

    def subject(self, seed: int) -> Subject:
        """The person of a seed: a pure function of it and of the settings.

        Parameters
        ----------
        seed : 0 to 2^64 - 1
        """
        settings, rng = self._settings, np.random.default_rng(seed)
        gender = float(rng.uniform())
        african, asian, caucasian = (float(share) for share in rng.dirichlet((0.7, 0.7, 0.7)))
        grown = rng.random() >= settings.children_share
        age = float(rng.uniform(*(settings.age if grown else settings.children_age)))
        phenotypes = {
            "gender": gender,
            "age": float(np.interp(age, AGE_YEARS, AGE_VALUES)),
            "african": african,
            "asian": asian,
            "caucasian": caucasian,
            "weight": float(rng.uniform(0.15, 0.9)),
            "muscle": float(rng.uniform(0.3, 0.8)),
            "height": float(rng.uniform(0.3, 0.7)),
            "proportions": float(rng.uniform(0.2, 0.8)),
        }
        kind, size = self._heads.kind(phenotypes)
        shape = kind + settings.shape_spread * rng.standard_normal(len(kind))
        looks = draw_looks(gender, age, (african, asian, caucasian), settings, rng)
        expression, actions = draw_expression(settings.neutral_share, rng)
        neutral = self._heads.head(shape, {})
        posed = self.geometry.lids_over_eyes(self._heads.head(shape, actions))
        return Subject(
            seed=seed,
            gender=gender,
            age=age,
            ancestry=(african, asian, caucasian),
            looks=looks,
            shape=shape,
            size=size,
            expression=expression,
            actions=actions,
            vertices=np.float32(size) * posed,
            neutral=np.float32(size) * neutral,
        )


@cache
def head_geometry(face_model: Path | None = None) -> HeadGeometry:
    """Heads of a face model's file, or of the default one; worked out once for each process.

    Raises
    ------
    AssetError
        when the package anny is not installed, or the face model is of another mesh
    """
    return HeadGeometry(HeadSampler(), FaceModel.open(face_model))
