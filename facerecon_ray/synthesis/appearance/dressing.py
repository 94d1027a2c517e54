"""A subject becomes a scene: skin, eyes, teeth, hair, beard, glasses and clothes, with their textures."""

import numpy as np

from facerecon_ray.synthesis.appearance.clothing import ClothesMaker
from facerecon_ray.synthesis.appearance.eye_texture import EyePainter
from facerecon_ray.synthesis.appearance.facial_hair import FacialHairMaker
from facerecon_ray.synthesis.appearance.glasses import GlassesMaker
from facerecon_ray.synthesis.appearance.hair import HairMaker
from facerecon_ray.synthesis.appearance.head_texture import SkinPainter
from facerecon_ray.synthesis.appearance.headwear import UNDER, HeadwearMaker
from facerecon_ray.synthesis.appearance.scalp_grid import ScalpGrid
from facerecon_ray.synthesis.appearance.teeth import TeethMaker
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.rendering.head_scene import SKIN, HeadScene, Part

SKIN_GLOSS = (0.30, 0.46)
"""Range of the gloss of people's skin, dry to oily."""


class Dresser:
    """Gives subjects their looks: a pure function of the subject and, where there is one, of a photo's skin.

    Parameters
    ----------
    geometry : the heads' parts, `SubjectSampler.geometry`
    """

    def __init__(self, geometry: HeadGeometry) -> None:
        self._geometry = geometry
        self._skin = SkinPainter(geometry)
        self._eyes = EyePainter(geometry)
        grid = ScalpGrid(geometry)
        self._hair, self._headwear = HairMaker(grid), HeadwearMaker(grid)
        self._clothes = ClothesMaker(geometry)
        self._facial_hair = FacialHairMaker(geometry)
        self._teeth = TeethMaker(geometry)
        self._glasses = GlassesMaker(geometry)

    def skin(self, subject: Subject) -> np.ndarray:
        """(512, 512, 3) uint8 painted skin of a subject in the atlas of `HeadGeometry`."""
        return self._skin(subject)

    def dress(self, subject: Subject, photo_skin: np.ndarray | None = None) -> HeadScene:
        """Everything that is seen of a subject.

        Parameters
        ----------
        subject : whom
        photo_skin : (512, 512, 3) uint8 skin in the atlas, in place of the painted one; see `PhotoTexture.over`

        Returns
        -------
        HeadScene in the head frame
        """
        geometry, looks = self._geometry, subject.looks
        skin = self._skin(subject) if photo_skin is None else photo_skin
        vertices = subject.vertices
        normals = geometry.normals(vertices)
        gloss = float(subject.rng("gloss").uniform(*SKIN_GLOSS))
        parts: list[Part] = [
            Part(
                vertices[geometry.skin.source],
                geometry.skin.triangles,
                geometry.skin.uv,
                skin,
                normals[geometry.skin.source],
                gloss=gloss,
                translucency=1.0,
                name=SKIN,
            ),
            *self._eyes.parts(subject),
            *self._facial_hair.lashes(subject),
            *self._teeth.parts(subject),
            *self._glasses.parts(subject),
            *self._headwear.parts(subject),
            *self._clothes.parts(subject, skin, gloss),
        ]
        under = UNDER[looks.headwear] if looks.headwear else 1.0
        if under > 0.0:
            parts += self._hair.parts(subject, under)
        if looks.beard:
            parts += self._facial_hair.beard(subject, self._skin.beard_density(subject), normals)
        return HeadScene(tuple(parts), geometry.surface(vertices), subject.attributes, subject.seed)
