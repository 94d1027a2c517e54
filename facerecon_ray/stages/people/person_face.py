"""The face of a person from all of their photos: the merged shape without expression, and the best colours of each."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.face_texture import CERTAIN, COARSE, UNCERTAIN
from facerecon_ray.geometry.mesh_picture import MeshColours, mesh_picture
from facerecon_ray.geometry.person_merging import MergedShape, merge_photos
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.geometry.shape_of_person import ShapeEvidence
from facerecon_ray.geometry.smooth_border import SmoothBorder
from facerecon_ray.geometry.textured_mesh import TexturedMesh
from facerecon_ray.stages.export import Topology
from facerecon_ray.stages.preview import clay_points
from facerecon_ray.stages.stage import Batch
from facerecon_ray.storage.mesh_files import MILLIMETRES

STRIP = 6
"""Photos below a person's picture."""

BACKGROUND = 255.0

BLENDED = 5
"""Photos at most whose colours are blended: more make the texture softer, not better."""

SHARPNESS = 4
"""Power of how well a photo sees a place, its weight there: high ones let the best photo decide."""

LEAST_SEEN = 1e-4
"""Of places that no photo sees; there the mirrored and spread colours of all count."""

MOST_GAIN = 1.6
"""By how much a photo's colours are made brighter or darker at most, to be like the others'."""


@dataclass(frozen=True)
class PersonFace:
    """What the photos of a person give together.

    merged     shape, what it leaves open, and which photos were merged
    texture    (S, S, 3) uint8, as large as the largest of the photos'
    spread     millimetres by which a place of the face may still be off, root of the mean square
    quality    the best of the merged photos'
    """

    merged: MergedShape
    texture: np.ndarray
    spread: float
    quality: float


class PersonBuilder:
    """Loads the face model once.

    Raises
    ------
    AssetError
        when it is missing or of another kind
    """

    def __init__(self, face_model: FaceModel | Path | None = None) -> None:
        model = FaceModel.open(face_model)
        self.model = model.to("cpu")
        self._layout = UvLayout.of(self.model)
        self._border = SmoothBorder.of(self.model, self._layout)
        self._basis = self.model.shape_basis[:, self._layout.vertices].double()

    @torch.no_grad()
    def merge(self, faces: Batch) -> MergedShape:
        """The shape of N faces of one person.

        Parameters
        ----------
        faces : shape (N, S), shape_information (N, S (S + 1) / 2), quality (N,)
        """
        evidence = ShapeEvidence.stored(faces["shape"], faces["shape_information"])
        return merge_photos(evidence, torch.from_numpy(np.asarray(faces["quality"])))

    def best(self, faces: Batch, merged: MergedShape) -> np.ndarray:
        """Numbers of the faces whose textures are wanted, the best first: those that look into the camera, and one of
        each side while there is room."""
        rows = np.flatnonzero(merged.used.numpy())
        yaw = faces["pose"][rows, 0]
        order = rows[np.argsort(np.abs(yaw) / 90 - faces["quality"][rows], kind="stable")]
        side = np.digitize(faces["pose"][order, 0], (-25.0, 25.0))
        first = [np.flatnonzero(side == part)[:1] for part in range(3)]
        leading = np.unique(np.concatenate([[0], *first])).astype(int)
        rest = np.setdiff1d(np.arange(len(order)), leading)
        return np.asarray(order[np.concatenate([leading, rest])][:BLENDED])

    @torch.no_grad()
    def face(self, faces: Batch, merged: MergedShape, best: np.ndarray, textures: list[np.ndarray]) -> PersonFace:
        """What the person's photos give together.

        Parameters
        ----------
        faces : pose (N, 3) degrees, expression (N, E), quality (N,)
        merged : their shape
        best : numbers of some of the faces, the best first
        textures : (S, S, 3) uint8 of each of those, as their meshes have them, of whatever sizes
        """
        return PersonFace(
            merged,
            self._blended(faces, merged, best, textures),
            self._spread(merged.covariance),
            float(np.asarray(faces["quality"])[merged.used.numpy()].max()),
        )

    @torch.no_grad()
    def mesh(self, face: PersonFace, topology: Topology) -> TexturedMesh:
        """The face without expression; metres, y up, it looks along +z."""
        layout, border = self._layout, self._border
        still = torch.zeros(1, self.model.expression_size)
        neutral = self.model.vertices(face.merged.shape[None], still)
        # Maps hold lengths of about a crop's pixels, as millimetres are.
        maps = layout.position_map(neutral * MILLIMETRES)
        uv = layout.vertex_uv if topology == "model" else border.vertex_uv
        # A map is coarser than the model: only vertices that the smooth border moves are read off it.
        moved = (uv != layout.vertex_uv).any(1)
        vertices = neutral[:, layout.vertices].clone()
        vertices[:, moved] = layout.read(maps, uv[moved]) / MILLIMETRES
        normals = vertex_normals(vertices, layout.triangles, "model")
        if topology != "dense":
            return _textured(vertices, normals, layout.triangles, uv, face.texture)
        dense = layout.read(maps, border.pixel_uv) / MILLIMETRES
        over_pixels = functional.normalize(layout.over_pixels(normals), dim=-1)
        return _textured(dense, over_pixels, layout.grid_triangles, border.pixel_uv, face.texture)

    def _spread(self, covariance: Tensor) -> float:
        """Millimetres, root of the mean square over the face, of what a covariance (S, S) leaves open."""
        factor = torch.linalg.cholesky(covariance)
        moved = torch.einsum("st,snc->tnc", factor, self._basis)
        return float(moved.square().sum((0, 2)).mean().sqrt()) * MILLIMETRES

    def _blended(self, faces: Batch, merged: MergedShape, best: np.ndarray, textures: list[np.ndarray]) -> np.ndarray:
        """(S, S, 3) uint8 texture of all, each where it sees best, of the colours that most have in the mean."""
        size = max(len(texture) for texture in textures)
        large = [cv2.resize(texture, (size, size), interpolation=cv2.INTER_LINEAR) for texture in textures]
        seen = self._seen(faces, merged, best)[:, 0].numpy() ** SHARPNESS + LEAST_SEEN
        weights = [cv2.resize(weight, (size, size), interpolation=cv2.INTER_LINEAR)[..., None] for weight in seen]
        means = np.array(
            [(colours * seen).sum((0, 1)) / seen.sum() for colours, seen in zip(large, weights, strict=True)]
        )
        gains = (np.median(means, 0) / means.clip(min=1.0)).clip(1 / MOST_GAIN, MOST_GAIN)
        blended = sum(
            colours * weight * gain for colours, weight, gain in zip(large, weights, gains, strict=True)
        ) / sum(weights)
        return np.asarray(blended).round().clip(0, 255).astype(np.uint8)

    def _seen(self, faces: Batch, merged: MergedShape, rows: np.ndarray) -> Tensor:
        """(B, 1, 256, 256) how well photos see each place, 0 to 1, by how far it is turned to their camera."""
        expression = torch.from_numpy(faces["expression"][rows])
        pose = torch.from_numpy(faces["pose"][rows])
        vertices = self.model.vertices(merged.shape.expand(len(rows), -1), expression)[:, self._layout.vertices]
        camera = Camera(pose, torch.ones(len(rows)), torch.zeros(len(rows), 2))
        facing = vertex_normals(camera.project(vertices), self._layout.triangles)[..., 2:]
        places = torch.zeros(len(rows), MAP_SIZE, MAP_SIZE)
        places[:, self._layout.mask] = self._layout.over_pixels(facing)[..., 0]
        coarse = functional.avg_pool2d(places[:, None], COARSE)
        certainty = ((coarse - UNCERTAIN) / (CERTAIN - UNCERTAIN)).clamp(0, 1) * coarse.clamp(min=0)
        return functional.interpolate(certainty, scale_factor=COARSE, mode="bilinear")


def _textured(points: Tensor, normals: Tensor, triangles: Tensor, uv: Tensor, texture: np.ndarray) -> TexturedMesh:
    return TexturedMesh(points[0].numpy(), normals[0].numpy(), triangles.numpy(), uv.numpy(), texture)


@torch.no_grad()
def person_picture(mesh: TexturedMesh, crops: list[np.ndarray]) -> bytes:
    """Draw a person: the face from three sides, and below it photos of theirs.

    Parameters
    ----------
    mesh : the person's face
    crops : (H, H, 3) uint8 each, of which the first `STRIP` are shown

    Returns
    -------
    JPEG of 768 pixels in width
    """
    vertices, triangles = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.triangles)
    colours = MeshColours(mesh.uv, (mesh.texture,))
    sides = []
    for points in clay_points(vertices):
        normals = vertex_normals(points[None], triangles)
        sides.append(mesh_picture(points[None], triangles, colours, CROP_SIZE, BACKGROUND, normals))
    rows = [np.hstack(sides)]
    if crops:
        side = 3 * CROP_SIZE // STRIP
        tiles = [cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops[:STRIP]]
        blank = np.full((side, side, 3), int(BACKGROUND), np.uint8)
        rows.append(np.hstack(tiles + [blank] * (STRIP - len(tiles))))
    picture = np.ascontiguousarray(np.vstack(rows)[..., ::-1])
    return bytes(cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 88))[1])
