"""Parts of a scan as a file gives them, and the scan that they are together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.geometry.mesh_picture import OWN_COLOUR, MeshColours
from facerecon_ray.geometry.shading import CLAY

NO_CORNER = -1
"""Index of a corner that has no place in a texture."""


@dataclass(frozen=True, eq=False)
class Part:
    """Some triangles of a file with the vertices that they alone use.

    vertices   (V, 3) float64
    triangles  (T, 3) int64
    own        (V, 3) float64 colours of the vertices, 0 to 255 as they are displayed, nan where there is none; None
               where no vertex has one
    uv         (V, 2) float32 place in the texture, v from the top down, or None
    textures   (H, W, 3) uint8 each
    page       (V,) which of the textures a vertex lies in, `OWN_COLOUR` for none; None: all in the first, if there is
               one
    """

    vertices: np.ndarray
    triangles: np.ndarray
    own: np.ndarray | None = None
    uv: np.ndarray | None = None
    textures: tuple[np.ndarray, ...] = ()
    page: np.ndarray | None = None


def joined(parts: Sequence[Part], notes: Sequence[str]) -> Scan:
    """All parts as one scan; what has no colour, or one colour all over, becomes clay and is noted.

    Parameters
    ----------
    parts : at least one
    notes : what could not be read
    """
    counts = [len(part.vertices) for part in parts]
    firsts = np.cumsum([0, *counts[:-1]])
    pages, first_page = [], 0
    for part, count in zip(parts, counts, strict=True):
        page = np.full(count, 0 if part.textures else OWN_COLOUR) if part.page is None else part.page
        pages.append(np.where(page == OWN_COLOUR, OWN_COLOUR, page + first_page))
        first_page += len(part.textures)
    page = np.concatenate(pages)
    own = np.concatenate([np.full((len(p.vertices), 3), np.nan) if p.own is None else p.own for p in parts])
    uv = np.concatenate([np.zeros((len(p.vertices), 2)) if p.uv is None else p.uv for p in parts])
    triangles = np.concatenate([part.triangles + first for part, first in zip(parts, firsts, strict=True)])
    bare = (page == OWN_COLOUR) & ~np.isfinite(own).all(1)
    colours = MeshColours(
        uv=uv.astype(np.float32) if first_page else None,
        textures=tuple(texture for part in parts for texture in part.textures),
        page=page.astype(np.int16),
        vertex=np.where(bare[:, None], 255 * np.array(CLAY), np.nan_to_num(own)).round().clip(0, 255).astype(np.uint8),
    )
    clay, note = _clay(colours, triangles, bare, bool(notes))
    return Scan(
        np.concatenate([part.vertices for part in parts]),
        triangles,
        MeshColours() if clay else colours,
        notes=(*notes, *note),
    )


def _clay(colours: MeshColours, triangles: np.ndarray, bare: np.ndarray, excused: bool) -> tuple[bool, list[str]]:
    """Whether the whole scan is drawn as clay, and what is said of it.

    Parameters
    ----------
    colours : of the scan
    triangles : (T, 3)
    bare : (V,) bool, vertices without a colour
    excused : whether it is said already why there are no colours
    """
    inside = triangles[((triangles >= 0) & (triangles < len(bare))).all(1)]
    colourless = bare[inside].any(1)
    if colourless.all():
        return True, ["it was drawn as clay" if excused else "the scan has no colours and was drawn as clay"]
    seen = np.asarray(colours.at_vertices())[np.unique(inside[~colourless])]
    if (seen == seen[0]).all():
        return True, ["the scan has one colour all over and was drawn as clay"]
    if colourless.any():
        return False, [
            f"{int(colourless.sum()):,} of {len(inside):,} triangles have no colours and were drawn as clay"
        ]
    return False, []


def part_of_corners(
    vertices: np.ndarray,
    corners: np.ndarray,
    own: np.ndarray | None = None,
    corners_own: np.ndarray | None = None,
    uv: np.ndarray | None = None,
    corners_uv: np.ndarray | None = None,
    textures: Sequence[np.ndarray | None] = (),
    page: np.ndarray | None = None,
) -> Part:
    """Triangles whose corners have places and colours of their own, as pictures want it: with a vertex for each
    different corner.

    Parameters
    ----------
    vertices : (N, 3)
    corners : (T, 3) vertices of the triangles
    own : (C, 3) colours, 0 to 255, for triangles in no texture
    corners_own : (T, 3) which of them each corner has, `NO_CORNER` for none
    uv : (P, 2) places in the textures, v from the bottom up
    corners_uv : (T, 3) which of them each corner has, `NO_CORNER` for none
    textures : each (H, W, 3), or None where it could not be read
    page : (T,) which of the textures a triangle lies in, `OWN_COLOUR` for none

    Raises
    ------
    InputError
        when corners name vertices that are not there
    """
    if ((corners < 0) | (corners >= len(vertices))).any():
        raise InputError("some faces of the file name vertices that are not there")
    none = np.full(corners.shape, NO_CORNER, np.int64)
    corners_own, corners_uv = (none if index is None else index for index in (corners_own, corners_uv))
    page = none[:, 0] if page is None else page
    readable = np.array([texture is not None for texture in textures] + [False])
    textured = (page >= 0) & (page < len(textures)) & readable[np.clip(page, -1, len(textures))]
    textured &= ((corners_uv >= 0) & (corners_uv < (0 if uv is None else len(uv)))).all(1)
    on_page = np.where(textured, (np.cumsum(readable) - 1)[np.clip(page, -1, len(textures))], OWN_COLOUR)
    place = np.where(textured[:, None], corners_uv, NO_CORNER)
    colour = np.where(textured[:, None], NO_CORNER, corners_own)
    corner, triangles = _split(corners, place, colour, np.repeat(on_page[:, None], 3, 1))
    of_vertex, of_place, of_colour = (index.ravel()[corner] for index in (corners, place, colour))
    # One row more, for corners that have none: index -1.
    colours = np.vstack([np.zeros((0, 3)) if own is None else own, np.full((1, 3), np.nan)])
    places = np.vstack([np.zeros((0, 2)) if uv is None else uv * (1, -1) + (0, 1), np.zeros((1, 2))])
    return Part(
        vertices[of_vertex],
        triangles,
        colours[of_colour],
        places[of_place],
        tuple(texture for texture in textures if texture is not None),
        on_page[corner // 3],
    )


def _split(*keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) for each different corner of triangles one that it stands for, 0 to 3 T - 1, and (T, 3) triangles of them.

    The keys (T, 3), integers from -1, say together which corners are the same.
    """
    total = np.zeros(keys[0].size, np.int64)
    for key in keys:
        _, total = np.unique(total * (int(key.max(initial=-1)) + 2) + key.ravel() + 1, return_inverse=True)
    _, corner, triangles = np.unique(total, return_index=True, return_inverse=True)
    return corner, triangles.reshape(-1, 3)


def fans(polygons: np.ndarray) -> np.ndarray:
    """(P, N) polygons of N corners cut into (P (N - 2), 3) triangles around their first corner, polygon by polygon."""
    count = polygons.shape[1]
    corners = np.array([[0, index, index + 1] for index in range(1, count - 1)], np.int64).reshape(-1, 3)
    return polygons[:, corners].reshape(-1, 3)
