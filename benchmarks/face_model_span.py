"""How near a face model comes to people: its best fit in three dimensions to heads that it was not made from.

    python benchmarks/face_model_span.py --scans-model ICT.npz [--face-model MODEL.npz ...] [--people 100]

Three groups of people: of a model of scans (normal weights), anny's adults, anny's children. Each is fitted with shape
coefficients, pose and scale, its points drawn to the planes of the nearest points of the person's surface (a
coefficient weighs as much as a millimetre at one point). Printed are means over people, in millimetres: from the face
region's points to the person's surface, and from the person's face to the model's, each point to plane; and the same
for the mean face. The person's face is what of the skin lies within 9.5 cm of the tip of the nose, a child's less, and
is nearest to the model's face region and faces the same way, so that no nostril's inside is measured.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, REGIONS, FaceModel
from facerecon_ray.geometry.nonrigid_registration import normals_of
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.geometry.surface import Surface
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.people.anny_heads import ADULT_AGES, CHILDREN_AGES, HeadSampler
from facerecon_ray.synthesis.people.head_topology import build_head_topology

SEEDS = {"scans": 77_001, "anny adults": 77_002, "anny children": 77_003}
"""Kept out of every recipe."""

STEPS = 10

SLIDING = 0.05
"""Weight of the distance along the plane: without it a fit drifts over the surface."""

NOSE_RADIUS, FACING = 0.095, 0.5

MILLIMETRE = 0.001


@dataclass(frozen=True)
class Person:
    """A head: its skin's surface, the vertices of its face, and its landmarks without the jaw (51, 3), metres."""

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray

    def face(self) -> tuple[np.ndarray, np.ndarray]:
        """Vertices near the tip of the nose and not behind the eyes, and their outward normals."""
        tip = self.landmarks[13]
        size = np.linalg.norm(self.landmarks[28] - self.landmarks[19]) / 0.09
        eyes = self.landmarks[[19, 28], 2].mean()
        used = np.unique(self.triangles)
        points = self.vertices[used]
        near = (np.linalg.norm(points - tip, axis=1) < NOSE_RADIUS * size) & (points[:, 2] > eyes - 0.02 * size)
        return points[near], normals_of(self.vertices, self.triangles)[used][near]


def scanned_people(scans: ScansModel, count: int) -> Iterator[Person]:
    """People with normal weights of the identity components."""
    rng = np.random.default_rng(SEEDS["scans"])
    skin, landmarks = scans.of_part("skin"), scans.landmarks[CONTOUR_LANDMARKS:]
    for _ in range(count):
        vertices = scans.mean + np.einsum("k,knc->nc", rng.normal(0.0, 1.0, len(scans.identity)), scans.identity)
        yield Person(vertices, skin, vertices[landmarks])


def anny_people(sampler: HeadSampler, kind: str, ages: tuple[float, float], count: int) -> Iterator[Person]:
    """anny's heads as they are, without eyes and mouth; their landmarks are those of the embedded model's mesh."""
    topology = build_head_topology(sampler.average(), sampler.triangles)
    embedded = FaceModel.default()
    corners, weights = embedded.landmark_corners.numpy(), embedded.landmark_weights.numpy()
    for vertices in topology.surface(sampler.shapes(count, np.random.default_rng(SEEDS[kind]), ages)):
        vertices = vertices.astype(np.float64)
        yield Person(vertices, topology.skin_triangles, np.einsum("qkc,qk->qc", vertices[corners], weights))


class Fitted:
    """A model's face region without eyes and mouth, to be fitted to people."""

    def __init__(self, model: FaceModel) -> None:
        caps = [REGIONS.index(name) for name in ("right_eye", "left_eye", "mouth")]
        face = model.face_vertices.numpy()
        self._face = face[~np.isin(model.regions.numpy()[face], caps)]
        self._mean = model.mean.numpy().astype(np.float64)
        self._basis = model.shape_basis.numpy().astype(np.float64)
        self._triangles = model.triangles.numpy()
        corners, weights = model.landmark_corners.numpy(), model.landmark_weights.numpy()
        self._landmarks = np.einsum("qkc,qk->qc", self._mean[corners], weights)

    def distances(self, person: Person, shaped: bool) -> tuple[float, float]:
        """Millimetres from the model's face to the person's surface and back, mean over points, point to plane."""
        surface = Surface(person.vertices, person.triangles)
        basis = self._basis[:, self._face].transpose(1, 2, 0) if shaped else np.zeros((len(self._face), 3, 0))
        coefficients, pose = np.zeros(basis.shape[2]), Similarity.between(self._landmarks, person.landmarks)
        for _ in range(STEPS):
            points = pose.apply(self._mean[self._face] + basis @ coefficients)
            nearest, normals = surface.closest(points)
            pose, coefficients = _step(points, nearest, normals, basis, pose, coefficients)
        points = pose.apply(self._mean[self._face] + basis @ coefficients)
        nearest, normals = surface.closest(points)
        there = np.abs(((points - nearest) * normals).sum(1)).mean()
        whole = self._mean + (np.einsum("k,knc->nc", coefficients, self._basis) if shaped else 0.0)
        face, outward = person.face()
        own = Surface(pose.apply(whole), self._triangles)
        nearest, normals = own.closest(face)
        on_face = np.isin(own.locate(face)[0], self._face).all(1) & ((normals * outward).sum(1) > FACING)
        back = np.abs(((face - nearest) * normals).sum(1))[on_face].mean()
        return float(there / MILLIMETRE), float(back / MILLIMETRE)


def _step(
    points: np.ndarray,
    nearest: np.ndarray,
    normals: np.ndarray,
    basis: np.ndarray,
    pose: Similarity,
    coefficients: np.ndarray,
) -> tuple[Similarity, np.ndarray]:
    """One Gauss-Newton step of pose, scale and coefficients."""
    centre = points.mean(0)
    moves = np.concatenate(
        [
            np.stack([np.cross(axis, points - centre) for axis in np.eye(3)], 2),
            np.broadcast_to(np.eye(3), (len(points), 3, 3)),
            (points - centre)[:, :, None],
            np.einsum("ij,njk->nik", pose.scale * pose.rotation, basis),
        ],
        axis=2,
    )
    along = np.einsum("nc,nck->nk", normals, moves)
    gap = nearest - points
    slide = np.sqrt(SLIDING)
    rows = np.concatenate([along, slide * moves.reshape(-1, moves.shape[2])])
    wanted = np.concatenate([(normals * gap).sum(1), slide * gap.ravel()])
    form, right = rows.T @ rows, rows.T @ wanted
    form[:7, :7] += 1e-9 * np.eye(7)
    form[7:, 7:] += MILLIMETRE**2 * np.eye(len(coefficients))
    right[7:] -= MILLIMETRE**2 * coefficients
    update = np.linalg.solve(form, right)
    turn, scale = Rotation.from_rotvec(update[:3]).as_matrix(), float(np.exp(update[6]))
    moved = Similarity(scale, turn, centre + update[3:6] - scale * turn @ centre)
    return moved.after(pose), coefficients + update[7:]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans-model", type=Path, required=True)
    parser.add_argument("--face-model", type=Path, nargs="*", default=[])
    parser.add_argument("--people", type=int, default=100)
    asked = parser.parse_args()
    scans, sampler = ScansModel.load(asked.scans_model), HeadSampler()
    groups = {
        "scans": list(scanned_people(scans, asked.people)),
        "anny adults": list(anny_people(sampler, "anny adults", ADULT_AGES, asked.people)),
        "anny children": list(anny_people(sampler, "anny children", CHILDREN_AGES, asked.people)),
    }
    print(
        f"{'model':30} {'people':14} {'fit':>6} {'back':>6} {'mean':>6} {'back':>6}   mm, {asked.people} people each"
    )
    for path in [None, *asked.face_model]:
        fitted = Fitted(FaceModel.open(path))
        for name, people in groups.items():
            means = [np.mean([fitted.distances(person, shaped) for person in people], 0) for shaped in (True, False)]
            figures = " ".join(f"{value:6.2f}" for value in np.concatenate(means))
            print(f"{path.name if path else 'embedded':30} {name:14} {figures}", flush=True)


if __name__ == "__main__":
    main()
