"""PLY: polygons and strips, colours of vertices or faces, textures by vertex or by corner."""

from pathlib import Path

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_formats.colour_values import own_colours
from facerecon_ray.evaluation.scan_formats.mtl import read_texture
from facerecon_ray.evaluation.scan_formats.parts import NO_CORNER, Part, fans, part_of_corners
from facerecon_ray.evaluation.scan_formats.ply_file import Column, Lists, parse_ply

PLACE = ("x", "y", "z")
COLOURS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
PLACES_IN_TEXTURE = (("texture_u", "texture_v"), ("u", "v"), ("s", "t"), ("texture_s", "texture_t"))
CORNERS = ("vertex_indices", "vertex_index")

Element = dict[str, Column]


def read_ply(path: Path, notes: list[str]) -> list[Part]:
    """The part of a file; what cannot be read of its colours is added to the notes.

    Raises
    ------
    InputError
        when it is damaged, or has no vertices
    """
    file = parse_ply(path.read_bytes())
    vertex, face = file.elements.get("vertex", {}), file.elements.get("face", {})
    vertices = _together(vertex, PLACE)
    if vertices is None:
        raise InputError("the file has no vertices")
    corners, of_face, of_corner = _triangles(face)
    uv, corners_uv = _places(vertex, face, corners, of_face, of_corner)
    own, corners_own = _vertex_or_face_colours(vertex, face, corners, of_face, notes)
    number = face.get("texnumber")
    page = number[of_face].astype(np.int64) if isinstance(number, np.ndarray) else np.zeros(len(corners), np.int64)
    textures = [read_texture(path.parent, name, notes) for name in file.textures]
    if uv is not None and not textures and own is None:
        notes.append("it has places in a texture, but names no texture")
    strips = _strips(file.elements.get("tristrips", {}))
    if len(strips):
        none = np.full(strips.shape, NO_CORNER)
        corners, corners_uv = np.concatenate([corners, strips]), np.concatenate([corners_uv, none])
        corners_own = np.concatenate([corners_own, strips if _has_colours(vertex) else none])
        page = np.concatenate([page, none[:, 0]])
    return [part_of_corners(vertices, corners, own, corners_own, uv, corners_uv, textures, page)]


def _together(element: Element, *names: tuple[str, ...]) -> np.ndarray | None:
    """(N, C) the first set of columns that an element has, None when it has none."""
    for some in names:
        columns = [column for name in some if isinstance(column := element.get(name), np.ndarray)]
        if len(columns) == len(some):
            return np.stack(columns, 1)
    return None


def _has_colours(element: Element) -> bool:
    return _together(element, *COLOURS) is not None


def _triangles(face: Element) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 3) vertices of all triangles, (T,) face that each is of, and (T, 3) which corners of it."""
    lists = next((column for name in CORNERS if isinstance(column := face.get(name), Lists)), None)
    corners, of_face, of_corner = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
    for count in np.unique(lists.counts) if lists is not None else ():
        if lists is not None and count >= 3:
            rows, polygons = lists.of_length(count)
            corners.append(fans(polygons.astype(np.int64)))
            of_face.append(np.repeat(rows, count - 2))
            of_corner.append(np.tile(fans(np.arange(count)[None]), (len(rows), 1)))
    return np.concatenate(corners), np.concatenate(of_face), np.concatenate(of_corner)


def _places(
    vertex: Element, face: Element, corners: np.ndarray, of_face: np.ndarray, of_corner: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """(P, 2) places in the textures, v from the bottom up, and (T, 3) which of them each corner has."""
    by_corner = face.get("texcoord")
    if isinstance(by_corner, Lists) and len(by_corner.values) and (by_corner.counts % 2 == 0).all():
        first = (np.cumsum(by_corner.counts) - by_corner.counts) // 2
        there = of_corner < by_corner.counts[of_face, None] // 2
        return by_corner.values.reshape(-1, 2), np.where(there, first[of_face, None] + of_corner, NO_CORNER)
    by_vertex = _together(vertex, *PLACES_IN_TEXTURE)
    return by_vertex, np.full_like(corners, NO_CORNER) if by_vertex is None else corners


def _vertex_or_face_colours(
    vertex: Element, face: Element, corners: np.ndarray, of_face: np.ndarray, notes: list[str]
) -> tuple[np.ndarray | None, np.ndarray]:
    """(C, 3) colours of vertices or else of faces, and (T, 3) which of them each corner has."""
    by_vertex = _together(vertex, *COLOURS)
    if by_vertex is not None:
        return own_colours(by_vertex, notes), corners
    by_face = _together(face, *COLOURS)
    if by_face is None:
        return None, np.full_like(corners, NO_CORNER)
    different, index = np.unique(by_face, axis=0, return_inverse=True)
    return own_colours(different, notes), np.repeat(index.reshape(-1)[of_face, None], 3, 1)


def _strips(element: Element) -> np.ndarray:
    """(T, 3) triangles of strips of vertices; -1 begins a new one. Their sides do not matter."""
    lists = next((column for name in CORNERS if isinstance(column := element.get(name), Lists)), None)
    if lists is None or len(lists.values) < 3:
        return np.zeros((0, 3), np.int64)
    breaks = np.cumsum(lists.counts)[:-1]
    line = np.insert(lists.values.astype(np.int64), breaks, -1)
    windows = np.stack([line[:-2], line[1:-1], line[2:]], 1)
    return windows[(windows >= 0).all(1)]
