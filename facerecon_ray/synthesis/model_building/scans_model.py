"""A face model made of scans of people, on a topology of its own: ICT-FaceKit's light version as arrays.

Li et al., Learning Formation of Physically-Based Face Attributes, 2020; https://github.com/ICT-VGL/ICT-FaceKit, MIT
License. The project holds no copy of it. The file (.npz) has

    neutral           (V, 3) its unit is a centimetre; y up, the face looks along +z
    faces             (Q, 4) corners of quads; a triangle repeats its last one
    identity          (K, V, 3) offset of each identity component for one standard deviation
    expression        (E, V, 3) offset of each expression at full strength
    expression_names  (E,) ICT-FaceKit's names
    landmarks         (68,) vertices, where vertex_indices.json of ICT-FaceKit does not lie beside the file
    parts             (V,) index into PARTS, where the vertices are not in ICT-FaceKit's own order
"""

import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import KDTree

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.alignment import align
from facerecon_ray.synthesis.people.head_topology import fit_sphere

CENTIMETRE = 0.01

PARTS = ("skin", "mouth", "sockets", "gums", "teeth", "eyes", "other")
"""Kinds of vertices: outer skin of face, head and neck; inside of the mouth; eye sockets; gums and tongue; teeth."""

ICT_PARTS = (11248, 13294, 14062, 17039, 21451, 24591)
"""First vertex after each of PARTS but the last in ICT-FaceKit's own order."""

LANDMARK_FILE, LANDMARK_KEY = "vertex_indices.json", "idx_to_landmark_verts"

RIMS = {"right_eye": range(36, 42), "left_eye": range(42, 48), "mouth": range(60, 68)}
"""Landmarks through which the lids' and the lips' rims go, in the order of the 68."""

NOSE_TIP = 30

ON_SPHERE = 0.0005
"""Metres from the sphere through an eye within which its vertices are the eyeball's outside."""


@dataclass(frozen=True, eq=False)
class ScansModel:
    """Arrays of the file in metres, with triangles.

    mean              (V, 3)
    identity          (K, V, 3)
    expression        (E, V, 3)
    expression_names  E names
    triangles         (T, 3)
    landmarks         (68,)
    parts             (V,) index into PARTS
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    expression_names: list[str]
    triangles: np.ndarray
    landmarks: np.ndarray
    parts: np.ndarray

    @staticmethod
    def load(path: Path) -> "ScansModel":
        """Read the file.

        Raises
        ------
        AssetError
            when it is missing, is no such file, or its landmarks or parts are unknown
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                held = {name: arrays[name] for name in arrays.files}
        except FileNotFoundError:
            raise AssetError(f"the model of scans {path} does not exist") from None
        except (OSError, ValueError, BadZipFile):
            raise AssetError(f"{path} is no model of scans (.npz expected)") from None
        for name in ("neutral", "faces", "identity", "expression", "expression_names"):
            if name not in held:
                raise AssetError(f"{path} is no model of scans: it has no array {name!r}")
        count = len(held["neutral"])
        for name in ("identity", "expression"):
            if held[name].shape[1:] != (count, 3):
                raise AssetError(f"{path}: {name} has shape {held[name].shape}, expected (any, {count}, 3)")
        return ScansModel(
            mean=held["neutral"].astype(np.float64) * CENTIMETRE,
            identity=held["identity"].astype(np.float32) * np.float32(CENTIMETRE),
            expression=held["expression"].astype(np.float32) * np.float32(CENTIMETRE),
            expression_names=[str(name) for name in held["expression_names"]],
            triangles=_triangles(held["faces"].astype(np.int64)),
            landmarks=_landmarks(path, held),
            parts=_parts(path, held, count),
        )

    def of_part(self, *names: str) -> np.ndarray:
        """(T', 3) triangles whose corners are all in parts of these names."""
        inside = np.isin(self.parts, [PARTS.index(name) for name in names])
        return self.triangles[inside[self.triangles].all(1)]

    def rims(self) -> dict[str, np.ndarray]:
        """Closed loops of skin vertices along the lids' and the lips' rims, each through its landmarks."""
        skin = self.of_part("skin")
        graph = edge_graph(self.mean, skin)
        return {name: _loop(graph, self.landmarks[list(places)]) for name, places in RIMS.items()}

    def eyeballs(self) -> list[np.ndarray]:
        """Vertices on the outside of the right and of the left eye: those on the sphere through most of it."""
        found = []
        for side in (-1.0, 1.0):
            eye = np.flatnonzero((self.parts == PARTS.index("eyes")) & (self.mean[:, 0] * side > 0))
            for _ in range(3):
                middle, radius = fit_sphere(self.mean[None, eye])
                away = np.abs(np.linalg.norm(self.mean[eye] - middle[0], axis=1) - radius[0])
                eye = eye[away <= max(ON_SPHERE, float(np.median(away)))]
            found.append(eye)
        return found

    def mirrored(self, offsets: np.ndarray) -> np.ndarray:
        """(K, V, 3) offsets (K, V, 3) as they are on the mirrored people."""
        partner = KDTree(self.mean).query(self.mean * [-1.0, 1.0, 1.0])[1]
        return offsets[:, partner] * np.array([-1.0, 1.0, 1.0], offsets.dtype)


def edge_graph(vertices: np.ndarray, triangles: np.ndarray) -> sparse.csr_matrix:
    """(N, N) lengths of a mesh's edges, both ways."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = np.unique(np.sort(directed, axis=1), axis=0)
    length = np.linalg.norm(vertices[pairs[:, 0]] - vertices[pairs[:, 1]], axis=1)
    count = len(vertices)
    one_way = sparse.coo_matrix((length, pairs.T), shape=(count, count)).tocsr()
    return one_way + one_way.T


def laid_onto(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and translation of `align` for one point set."""
    scale, rotation, translation = align(source, target)
    return float(scale), rotation, translation


def _loop(graph: sparse.csr_matrix, stations: np.ndarray) -> np.ndarray:
    """Vertices of the shortest way along edges through stations and back to the first."""
    way: list[int] = []
    for start, end in zip(stations, np.roll(stations, -1), strict=True):
        before = csgraph.dijkstra(graph, indices=start, return_predecessors=True)[1]
        step, part = int(end), []
        while step != start:
            step = int(before[step])
            part.append(step)
        way += part[::-1]
    return np.array(way)


def _triangles(quads: np.ndarray) -> np.ndarray:
    halves = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    a, b, c = halves.T
    return np.ascontiguousarray(halves[(a != b) & (b != c) & (a != c)])


def _landmarks(path: Path, held: dict[str, np.ndarray]) -> np.ndarray:
    if "landmarks" in held:
        found = held["landmarks"].astype(np.int64)
    else:
        beside = path.with_name(LANDMARK_FILE)
        try:
            found = np.array(json.loads(beside.read_text())[LANDMARK_KEY], np.int64)
        except (OSError, ValueError, KeyError):
            raise AssetError(
                f"{path}: its landmarks are unknown; put ICT-FaceKit's {LANDMARK_FILE} beside it as {beside}"
            ) from None
    if found.shape != (68,) or found.min() < 0 or found.max() >= len(held["neutral"]):
        raise AssetError(f"{path}: its landmarks are not 68 of its vertices")
    return found


def _parts(path: Path, held: dict[str, np.ndarray], count: int) -> np.ndarray:
    if "parts" in held:
        return held["parts"].astype(np.int64)
    if count <= ICT_PARTS[-1]:
        raise AssetError(f"{path}: {count} vertices are not ICT-FaceKit's, and it has no array 'parts'")
    return np.searchsorted(ICT_PARTS, np.arange(count), side="right")
