"""Where the skin's atlas of `HeadGeometry` lies on a scans model, so that skins painted for the one fit the other."""

from dataclasses import dataclass

import numpy as np

from facerecon_ray.geometry.surface import Surface
from facerecon_ray.synthesis.model_building.correspondence import Correspondence
from facerecon_ray.synthesis.model_building.scans_model import ScansModel
from facerecon_ray.synthesis.people.head_geometry import ISLANDS, HeadGeometry

ACROSS_A_SEAM = 0.15
"""Size in the atlas from which on a triangle is torn: its corners lie on both sides of a seam."""


@dataclass(frozen=True, eq=False)
class SkinPlaces:
    """The scans model's skin with places in the atlas.

    source     (S,) the scans model's vertex of each vertex
    triangles  (T, 3) over them
    uv         (S, 2) float32 place in the atlas, v down
    """

    source: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray

    @staticmethod
    def of(geometry: HeadGeometry, laid: Correspondence, scans: ScansModel) -> "SkinPlaces":
        """Every vertex takes the place of the nearest point of the skin that was laid onto the scans model.

        What lies over a seam of the atlas, at the back of the head, has one colour a triangle.
        """
        skin = geometry.skin
        own = skin.triangles[geometry.triangles_of_island(ISLANDS.index("head"))]
        own = own[(geometry.model_vertex[own] >= 0).all(1)]
        on_scans = Surface(laid.mean[geometry.model_vertex.clip(0)], own)
        triangles = scans.of_part("skin")
        source = np.unique(triangles)
        corners, weights = on_scans.locate(laid.into_frame(scans.mean[source]))
        uv = np.einsum("nkc,nk->nc", skin.uv[corners], weights)
        faces = np.searchsorted(source, triangles)
        torn = np.ptp(uv[faces], axis=1).max(1) > ACROSS_A_SEAM
        alone = faces[torn]
        faces[torn] = len(source) + np.arange(alone.size).reshape(-1, 3)
        return SkinPlaces(
            np.concatenate([source, source[alone.ravel()]]),
            faces,
            np.concatenate([uv, np.repeat(uv[alone[:, 0]], 3, axis=0)]).astype(np.float32),
        )
