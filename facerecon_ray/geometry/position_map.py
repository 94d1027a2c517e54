"""UV position maps: the face as a 256 x 256 picture whose three channels are places in the image frame.

Feng et al., Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network, 2018. Which point
of the model a UV pixel shows depends on the model alone, so it is worked out once; a map is then one weighted gather.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.rasterizer import rasterize

MAP_SIZE = 256

ORIGIN = (0.0, 0.0, 0.5)
"""Where a map stores the crop's corner and depth 0. Depths lie on both sides of 0, the network's output in 0 to 1."""


@dataclass(frozen=True)
class UvLayout:
    """Where a face model's points lie in position maps; UV pixels have their centres at (index + 0.5) / 256.

    P pixels, in the order of rows, show the face region; M vertices, in the model's order, are in it.

    mask            (256, 256) bool, true where a UV pixel shows the face region
    pixel_uv        (P, 2) the pixels' centres in the UV square
    grid_triangles  (G, 3) int64 triangles over the P pixels, counter-clockwise seen from outside
    vertices        (M,) int64 the model's vertices of the face region
    vertex_uv       (M, 2)
    triangles       (F, 3) int64 the face region's triangles over the M vertices, counter-clockwise seen from outside
    corners         (P, 3) int64 corners of the triangle that each pixel shows, indices into the M vertices
    weights         (P, 3) their barycentric weights
    nearest         (65536,) int64 for each pixel, row * 256 + column, the nearest one of the mask
    mirror_uv       (256, 256, 2) UV of the point that is mirrored left to right, of the nearest pixel outside the mask
    """

    mask: Tensor
    pixel_uv: Tensor
    grid_triangles: Tensor
    vertices: Tensor
    vertex_uv: Tensor
    triangles: Tensor
    corners: Tensor
    weights: Tensor
    nearest: Tensor
    mirror_uv: Tensor

    @staticmethod
    def of(model: FaceModel) -> "UvLayout":
        """Work out the layout of a model, on the CPU."""
        model = model.to("cpu")
        vertices = model.face_vertices
        renumber = torch.zeros(len(model.mean), dtype=torch.int64)
        renumber[vertices] = torch.arange(len(vertices))
        triangles = renumber[model.triangles[model.face_triangles]]
        uv = model.uv[vertices]
        fragments = rasterize(functional.pad(uv * MAP_SIZE, (0, 1))[None], triangles, MAP_SIZE, MAP_SIZE)
        mask, weights = fragments.mask[0], fragments.barycentric[0][fragments.mask[0]]
        corners = triangles[fragments.triangle[0][mask]]
        nearest = _nearest_in_mask(mask)
        mirrored = torch.zeros(MAP_SIZE, MAP_SIZE, 2)
        partner = torch.where(torch.isin(model.mirror, vertices), model.mirror, torch.arange(len(model.mean)))
        mirrored[mask] = weighted_gather(model.uv[partner[vertices]][None], corners, weights)[0]
        return UvLayout(
            mask=mask,
            pixel_uv=(mask.nonzero().flip(-1) + 0.5) / MAP_SIZE,
            grid_triangles=_grid_triangles(mask),
            vertices=vertices,
            vertex_uv=uv,
            triangles=triangles,
            corners=corners,
            weights=weights,
            nearest=nearest,
            mirror_uv=mirrored.view(-1, 2)[nearest].view_as(mirrored),
        )

    def to(self, device: torch.device | str) -> "UvLayout":
        """Copy of the layout with its arrays on a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def position_map(self, points: Tensor) -> Tensor:
        """Map of faces.

        Parameters
        ----------
        points : (B, N, 3) the model's vertices in the image frame, crop pixels

        Returns
        -------
        (B, 256, 256, 3) float32, crop pixels / 256 with depth 0 stored as 0.5; zeros outside the mask
        """
        stored = points[:, self.vertices] / CROP_SIZE + points.new_tensor(ORIGIN)
        maps = points.new_zeros(len(points), MAP_SIZE, MAP_SIZE, 3)
        maps[:, self.mask] = self.over_pixels(stored)
        return maps

    def over_pixels(self, values: Tensor) -> Tensor:
        """(B, P, C) values of the face region's vertices (B, M, C), interpolated at the pixels of the mask."""
        return weighted_gather(values, self.corners, self.weights)

    def points_from_map(self, maps: Tensor) -> Tensor:
        """(B, P, 3) what each pixel of the mask shows, image frame, crop pixels, for maps (B, 256, 256, 3)."""
        return _from_stored(maps[:, self.mask])

    def vertices_from_map(self, maps: Tensor) -> Tensor:
        """(B, M, 3) the face region's vertices, image frame, crop pixels, read off maps (B, 256, 256, 3)."""
        return self.read(maps, self.vertex_uv)

    def read(self, maps: Tensor, uv: Tensor) -> Tensor:
        """Read maps between their pixels, bilinearly; beyond the outermost pixel centres, linearly on.

        Parameters
        ----------
        maps : (B, 256, 256, 3)
        uv : (Q, 2) places in the UV square

        Returns
        -------
        (B, Q, 3) image frame, crop pixels
        """
        taps, weights = _bilinear_taps(uv)
        return _from_stored(weighted_gather(maps.flatten(1, 2).float(), self.nearest[taps], weights))


def weighted_gather(values: Tensor, indices: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of a few rows each, the same for a whole batch.

    Parameters
    ----------
    values : (B, N, C)
    indices : (Q, K) int64
    weights : (Q, K)

    Returns
    -------
    (B, Q, C)
    """
    batch, count, channels = values.shape
    offsets = torch.arange(batch, device=values.device)[:, None, None] * count
    sums = functional.embedding_bag(
        (indices + offsets).flatten(0, 1),
        values.reshape(-1, channels),
        per_sample_weights=weights.to(values.dtype).repeat(batch, 1),
        mode="sum",
    )
    return sums.view(batch, len(indices), channels)


def _from_stored(values: Tensor) -> Tensor:
    return (values.float() - values.new_tensor(ORIGIN, dtype=torch.float32)) * CROP_SIZE


def _nearest_in_mask(mask: Tensor) -> Tensor:
    """(256 * 256,) for each pixel the nearest one of the mask, itself where it is in the mask."""
    rows, columns = ndimage.distance_transform_edt(~mask.numpy(), return_distances=False, return_indices=True)
    return torch.from_numpy(rows.astype(np.int64) * MAP_SIZE + columns).flatten()


def _bilinear_taps(uv: Tensor) -> tuple[Tensor, Tensor]:
    """The four pixels around places (M, 2), the outermost four beyond the border, and their weights (M, 4)."""
    place = uv * MAP_SIZE - 0.5
    first = place.floor().clamp(0, MAP_SIZE - 2)
    share = place - first
    near, far = 1 - share, share
    column, row = first.long().unbind(-1)
    corner = row * MAP_SIZE + column
    taps = torch.stack([corner, corner + 1, corner + MAP_SIZE, corner + MAP_SIZE + 1], -1)
    weights = [near[:, 0] * near[:, 1], far[:, 0] * near[:, 1], near[:, 0] * far[:, 1], far[:, 0] * far[:, 1]]
    return taps, torch.stack(weights, -1)


def _grid_triangles(mask: Tensor) -> Tensor:
    """(G, 3) two triangles for each square of neighbouring pixel centres whose four corners are in the mask."""
    number = torch.full(mask.shape, -1)
    number[mask] = torch.arange(int(mask.sum()))
    a, b, c, d = (n.flatten() for n in (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]))
    whole = torch.stack([a, b, c, d]).amin(0) >= 0
    a, b, c, d = a[whole], b[whole], c[whole], d[whole]
    return torch.cat([torch.stack([a, c, b], 1), torch.stack([b, c, d], 1)])
