"""Which point of the face model each texel of the skin texture shows, and how near to eyes, lips and hair it lies."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.geometry.position_map import weighted_gather
from facerecon_ray.geometry.rasterizer import rasterize
from facerecon_ray.synthesis.people.head_geometry import TEXTURE_SIZE, HeadGeometry


@dataclass(frozen=True)
class SkinLayout:
    """The skin texture's texels; P of them, in the order of rows, show points of the face model.

    shown      (512, 512) bool, true where a texel shows a point of the face model
    covered    (512, 512) bool, true where it shows any skin, the insides of lids and lips included
    triangles  (T, 3) int64 the face model's triangles
    corners    (P, 3) int64 vertices of the face model between which each texel lies
    weights    (P, 3) their barycentric weights
    mirrored   (P, 3) int64 the vertices at the mirrored places
    place      (P, 3) float32 place on the mean head, metres
    to_eye, to_mouth   (P,) float32 distance to the openings of the eyes and the mouth on the mean head, metres
    region     (P,) uint8 index into the face model's REGIONS of the nearest corner
    nearest    (512, 512) int64 the covered texel nearest to each, row * 512 + column
    """

    shown: Tensor
    covered: Tensor
    triangles: Tensor
    corners: Tensor
    weights: Tensor
    mirrored: Tensor
    place: np.ndarray
    to_eye: np.ndarray
    to_mouth: np.ndarray
    region: np.ndarray
    nearest: np.ndarray

    @staticmethod
    def of(model: FaceModel, geometry: HeadGeometry) -> "SkinLayout":
        """Work out the layout of the atlas for a face model that was built on the geometry's topology."""
        mesh = geometry.skin
        faces = torch.from_numpy(mesh.triangles)
        texels = functional.pad(torch.from_numpy(mesh.uv) * TEXTURE_SIZE, (0, 1))
        fragments = rasterize(texels[None], faces, TEXTURE_SIZE, TEXTURE_SIZE)
        owner = torch.from_numpy(geometry.model_vertex)[faces]
        known = (owner >= 0).all(1)
        covered = fragments.mask[0]
        shown = covered & known[fragments.triangle[0].clamp(min=0)]
        corners, weights = owner[fragments.triangle[0][shown]], fragments.barycentric[0][shown]
        place = weighted_gather(model.mean[None], corners, weights)[0].numpy()
        nearest = corners.gather(1, weights.argmax(1, keepdim=True))[:, 0]
        rows, columns = ndimage.distance_transform_edt(~covered.numpy(), return_distances=False, return_indices=True)
        return SkinLayout(
            shown,
            covered,
            model.triangles,
            corners,
            weights,
            model.mirror[corners],
            place,
            _distance(model, place, ("right_eye", "left_eye")),
            _distance(model, place, ("mouth",)),
            model.regions[nearest].numpy(),
            rows.astype(np.int64) * TEXTURE_SIZE + columns,
        )

    def over_texels(self, values: Tensor, mirrored: bool = False) -> Tensor:
        """(P, C) values of the face model's vertices (N, C) at the texels, or at the places opposite to them."""
        return weighted_gather(values[None], self.mirrored if mirrored else self.corners, self.weights)[0]

    def picture(self, values: np.ndarray) -> np.ndarray:
        """(512, 512, C) float32 picture of texels' values (P, C), zeros elsewhere."""
        image = np.zeros((TEXTURE_SIZE, TEXTURE_SIZE, values.shape[-1]), np.float32)
        image[self.shown.numpy()] = values
        return image


def _distance(model: FaceModel, place: np.ndarray, regions: tuple[str, ...]) -> np.ndarray:
    """(P,) metres to an opening of the mean head: to many points spread over the caps that close it, or over its rim
    where nothing does."""
    wanted = torch.tensor([REGIONS.index(name) for name in regions])
    inside = torch.isin(model.regions[model.triangles].long(), wanted)
    corners = model.mean[model.triangles]
    if bool(inside.all(1).any()):
        a, b, c = corners[inside.any(1)].unbind(1)
        points = torch.cat([a, b, c, (a + b) / 2, (b + c) / 2, (a + c) / 2, (a + b + c) / 3])
    else:
        sides = [(corners[inside[:, i] & inside[:, j]][:, (i, j)]) for i, j in ((0, 1), (1, 2), (2, 0))]
        a, b = torch.cat(sides).unbind(1)
        points = torch.cat([a + share * (b - a) for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
    return np.asarray(cKDTree(points.numpy()).query(place)[0], np.float32)
