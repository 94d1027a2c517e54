"""Pictures of coloured meshes, unlit or in soft light."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.rasterizer import Fragments, interpolate, rasterize
from facerecon_ray.geometry.shading import CLAY, shade, vertex_normals

SUPERSAMPLING = 2

SOFT_LIGHT = (0.55, 0.6)
"""Least light, and what is added where the surface faces it: colours of a scan hold some light already, but a flat
texture in no light shows a face without relief, on which landmarks are not found well."""


OWN_COLOUR = -1
"""Page of a vertex that lies in no texture."""


@dataclass(frozen=True, eq=False)
class MeshColours:
    """Colours of a mesh: textures, colours of its vertices, some of each, or neither, which is drawn as clay.

    uv        (V, 2) float32 place in the texture, v from the top down, or None
    textures  (H, W, 3) uint8 each
    page      (V,) int16, which of the textures a vertex lies in, `OWN_COLOUR` for none; the same for the corners of a
              triangle. None: all lie in the first where there is one
    vertex    (V, 3) uint8 colours of the vertices that lie in no texture, or None
    """

    uv: np.ndarray | None = None
    textures: tuple[np.ndarray, ...] = ()
    page: np.ndarray | None = None
    vertex: np.ndarray | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.textures) or self.vertex is not None

    def pages(self) -> np.ndarray:
        """(V,) page of every vertex."""
        if self.page is not None:
            return self.page
        some = self.vertex if self.uv is None else self.uv
        return np.full(0 if some is None else len(some), 0 if self.textures else OWN_COLOUR, np.int16)

    def only(self, kept: np.ndarray) -> "MeshColours":
        """Colours of the vertices `kept` alone."""
        uv, page, vertex = (None if values is None else values[kept] for values in (self.uv, self.page, self.vertex))
        return MeshColours(uv, self.textures, page, vertex)

    def at_vertices(self) -> np.ndarray | None:
        """(V, 3) uint8 colours at the vertices, None for clay."""
        if not self.textures:
            return self.vertex
        own = None if self.vertex is None else torch.from_numpy(self.vertex).float()[None, :, None]
        uv = torch.from_numpy(np.asarray(self.uv))[None, :, None]
        sampled = self._on_pages(uv, torch.from_numpy(self.pages())[None, :, None], own)
        return sampled[0, :, 0].round().clamp(0, 255).byte().numpy()

    def at_pixels(self, fragments: Fragments, points: Tensor, triangles: Tensor) -> Tensor:
        """(1, H, W, 3) float32 0 to 255, what each pixel of a picture of (1, V, 3) points sees, unlit but for clay."""
        if not self:
            return 255 * _light(fragments, triangles, vertex_normals(points, triangles)) * points.new_tensor(CLAY)
        own = None if self.vertex is None else interpolate(fragments, triangles, torch.from_numpy(self.vertex).float())
        if not self.textures:
            assert own is not None
            return own
        uv = interpolate(fragments, triangles, torch.from_numpy(np.asarray(self.uv)))
        first_corner = triangles[fragments.triangle.clamp(min=0), 0]
        return self._on_pages(uv, torch.from_numpy(self.pages())[first_corner], own)

    def _on_pages(self, uv: Tensor, page: Tensor, own: Tensor | None) -> Tensor:
        """(1, H, W, 3) colours at places (1, H, W, 2) of pages (1, H, W); `own` where there is no page."""
        found = torch.zeros(*page.shape, 3) if own is None else own
        for index, texture in enumerate(self.textures):
            here = page == index
            if here.any():
                found = torch.where(here[..., None], _sample(texture, uv), found)
        return found


def _sample(pixels: np.ndarray, uv: Tensor) -> Tensor:
    """(1, H, W, 3) colours of a texture at places (1, H, W, 2); beyond the border it repeats."""
    texture = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float()
    grid = 2 * torch.where((uv >= 0) & (uv <= 1), uv, uv - uv.floor()) - 1
    return functional.grid_sample(texture, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)


@torch.no_grad()
def mesh_picture(
    points: Tensor,
    triangles: Tensor,
    colours: MeshColours,
    size: int,
    background: float = 128.0,
    normals: Tensor | None = None,
) -> np.ndarray:
    """Draw one mesh, both sides of its surface, with smooth edges.

    Parameters
    ----------
    points : (1, V, 3) image frame, pixels of a picture of size x size
    triangles : (T, 3) int64
    colours : of the mesh
    size : pixels
    background : grey behind the mesh, 0 to 255
    normals : (1, V, 3) image frame, for soft light on coloured meshes; without them they are unlit

    Returns
    -------
    (size, size, 3) uint8 RGB
    """
    fine = size * SUPERSAMPLING
    fragments = rasterize(points * SUPERSAMPLING, triangles, fine, fine)
    picture = colours.at_pixels(fragments, points, triangles)
    if normals is not None and colours:
        least, more = SOFT_LIGHT
        picture = (picture * (least + more * _light(fragments, triangles, normals))).clamp(0, 255)
    picture = torch.where(fragments.mask[..., None], picture, background)
    small = functional.avg_pool2d(picture.permute(0, 3, 1, 2), SUPERSAMPLING)[0].permute(1, 2, 0)
    return small.round().clamp(0, 255).byte().numpy()


def _light(fragments: Fragments, triangles: Tensor, normals: Tensor) -> Tensor:
    """(1, H, W, 1) brightness of both sides of a surface, see `shade`."""
    seen = functional.normalize(interpolate(fragments, triangles, normals), dim=-1)
    return shade(seen * torch.where(seen[..., 2:] < 0, -1.0, 1.0))[..., None]
