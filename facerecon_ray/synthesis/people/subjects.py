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

MILDER = {"head-": 0.35, "forehead-": 0.4, "neck-": 0.4, "measure-neck-": 0.5, "ear-": 0.7}
"""Factors on the spread of the changes that soon look odd."""


class SubjectSampler:
    """Makes people from seeds.

    Parameters
    ----------
    settings : ranges and shares, the default ones if None
    geometry : of the heads; without one, anny's, which takes seconds to work out, once for each process

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
        changes = self._shape_changes(rng)
        looks = draw_looks(gender, age, (african, asian, caucasian), settings, rng)
        expression, actions = draw_expression(settings.neutral_share, rng)
        neutral = self._heads.head(phenotypes, changes, {})
        return Subject(
            seed=seed,
            gender=gender,
            age=age,
            ancestry=(african, asian, caucasian),
            looks=looks,
            phenotypes=phenotypes,
            changes=changes,
            expression=expression,
            actions=actions,
            vertices=self._posed(phenotypes, changes, actions, neutral),
            neutral=self.geometry.into_head_frame(neutral, neutral),
        )

    def _posed(
        self,
        phenotypes: dict[str, float],
        changes: dict[str, float],
        actions: dict[str, float],
        neutral: np.ndarray,
    ) -> np.ndarray:
        posed = self._heads.head(phenotypes, changes, actions)
        return self.geometry.lids_over_eyes(self.geometry.into_head_frame(posed, neutral))

    def _shape_changes(self, rng: np.random.Generator) -> dict[str, float]:
        """Local changes of the face's shape; left and right differ a little."""
        names = self._heads.shape_names()
        shared = {name.removeprefix("l-").removeprefix("r-"): 0.0 for name in names}
        for base in shared:
            milder = next((factor for part, factor in MILDER.items() if base.startswith(part)), 1.0)
            shared[base] = milder * rng.normal(0.0, self._settings.shape_spread)
        changes = {}
        for name in names:
            base = name.removeprefix("l-").removeprefix("r-")
            own = rng.normal(0.0, self._settings.asymmetry) if base != name else 0.0
            changes[name] = float(np.clip(shared[base] + own, -1.0, 1.0))
        return changes


@cache
def head_geometry(face_model: Path | None = None) -> HeadGeometry:
    """anny's heads beside a face model's file, or the default one; worked out once for each process.

    Raises
    ------
    AssetError
        when the package anny is not installed, or the face model is of another mesh
    """
    return HeadGeometry(HeadSampler(), FaceModel.open(face_model))
