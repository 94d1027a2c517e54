"""Wavefront OBJ: polygons, materials, textures, and colours of vertices after their places."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_formats.colour_values import own_colours
from facerecon_ray.evaluation.scan_formats.mtl import Material, read_materials
from facerecon_ray.evaluation.scan_formats.nearby_files import find_beside
from facerecon_ray.evaluation.scan_formats.parts import NO_CORNER, Part, fans, part_of_corners

FREE_FORM = (b"curv", b"curv2", b"surf")
NO_MATERIAL = -1


@dataclass
class _Lines:
    """What the lines of a file say.

    vertices   a text of numbers by how many of them; with the places among all vertices
    places     texture coordinates, a text each
    faces      by corners and indices of a corner: a text, vertices and texture coordinates so far, material
    materials  names in the order of their first use
    libraries  material files
    free_form  whether there are curves or surfaces
    """

    vertices: dict[int, tuple[list[bytes], list[int]]] = field(default_factory=lambda: defaultdict(lambda: ([], [])))
    places: list[bytes] = field(default_factory=list)
    faces: dict[tuple[int, int], list[tuple[bytes, int, int, int]]] = field(default_factory=lambda: defaultdict(list))
    materials: dict[str, int] = field(default_factory=dict)
    libraries: list[str] = field(default_factory=list)
    free_form: bool = False
    count: int = 0


def read_obj(path: Path, notes: list[str]) -> list[Part]:
    """The parts of a file; what cannot be read of its colours is added to the notes.

    Raises
    ------
    InputError
        when a line cannot be read
    """
    lines = _lines(path.read_bytes())
    if lines.free_form:
        notes.append("its curves and free-form surfaces were left out")
    vertices, colours = _vertices(lines, notes)
    uv = _table([b" ".join((*text.split(), b"0")[:2]) for text in lines.places])
    corners, corners_uv, material = _corners(lines)
    known = _materials(path, lines, notes) if len(corners) else []
    for index, looks in enumerate(known):
        if looks.scale is not None and looks.offset is not None:
            here = material == index
            corners_uv[here] = np.where(corners_uv[here] >= 0, corners_uv[here] + len(uv), NO_CORNER)
            uv = np.concatenate([uv, uv * looks.scale + looks.offset])
    textures = [looks.texture for looks in known]
    textured = np.array([texture is not None for texture in textures] + [False])[material]
    if (corners_uv[textured] < 0).any():
        notes.append("some of its triangles have no place in their texture")
    uncoloured = colours is None and all(looks.colour is None for looks in known)
    if uncoloured and (corners_uv >= 0).any() and not textured.any() and not notes:
        notes.append("it has places in a texture, but names no texture")
    if colours is None:
        own = np.array([np.full(3, np.nan) if looks.colour is None else looks.colour for looks in known]).reshape(
            -1, 3
        )
        corners_own = np.repeat(material[:, None], 3, 1)
    else:
        own, corners_own = colours, corners
    return [part_of_corners(vertices, corners, own, corners_own, uv, corners_uv, textures, material)]


def _lines(data: bytes) -> _Lines:
    """Sort the lines; one that ends with a backslash goes on."""
    found, material = _Lines(), NO_MATERIAL
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\\\n", b" ").removeprefix(b"\xef\xbb\xbf")
    for line in text.split(b"\n"):
        key, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
        if key == b"v":
            values = rest.split(b"#")[0]
            texts, places = found.vertices[len(values.split())]
            texts.append(values)
            places.append(found.count)
            found.count += 1
        elif key == b"vt":
            found.places.append(rest.split(b"#")[0])
        elif key in (b"f", b"fo"):
            values = rest.split(b"#")[0]
            corners = values.split()
            each = 1 + max((corner.count(b"/") for corner in corners), default=0)
            found.faces[len(corners), each].append((values, found.count, len(found.places), material))
        elif key == b"usemtl":
            material = found.materials.setdefault(_text(rest), len(found.materials))
        elif key == b"mtllib":
            found.libraries.append(_text(rest))
        elif key in FREE_FORM:
            found.free_form = True
    return found


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").strip()


def _table(texts: list[bytes]) -> np.ndarray:
    """(N, C) numbers of lines that have as many each."""
    if not texts:
        return np.zeros((0, 2))
    try:
        return np.array(b" ".join(texts).split(), np.float64).reshape(len(texts), -1)
    except ValueError:
        bad = next(text for text in texts if not _are_numbers(text))
        raise InputError(f"'{_text(bad)[:60]}' in the file should be numbers") from None


def _are_numbers(text: bytes) -> bool:
    try:
        np.array(text.split(), np.float64)
    except ValueError:
        return False
    return True


def _vertices(lines: _Lines, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """(V, 3) places and (V, 3) colours 0 to 255, nan where there is none; None without any.

    After x, y and z there may be a weight, a colour, or both.
    """
    vertices, colours = np.full((lines.count, 3), np.nan), np.full((lines.count, 3), np.nan)
    for width, (texts, places) in lines.vertices.items():
        if width < 3:
            raise InputError(f"the line 'v {_text(texts[0])[:60]}' of the file has fewer than three numbers")
        values = _table(texts)
        vertices[places] = values[:, :3]
        if width >= 6:
            colours[places] = values[:, 4:7] if width == 7 and (values[:, 3] == 1).all() else values[:, 3:6]
    return vertices, own_colours(colours, notes) if np.isfinite(colours).any() else None


def _corners(lines: _Lines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(T, 3) vertices and (T, 3) places in the texture of all triangles, `NO_CORNER` without one; (T,) material."""
    vertex, place, material = [np.zeros((0, 3), np.int64)], [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for (corners, each), faces in lines.faces.items():
        if corners < 3:
            continue
        texts = [text for text, *_ in faces]
        whole = b" ".join(texts) + b" "
        for _ in range(2):
            whole = whole.replace(b"//", b"/0/").replace(b"/ ", b"/0 ")
        try:
            index = np.array(whole.replace(b"/", b" ").split(), np.int64).reshape(len(faces), corners, each)
        except (ValueError, OverflowError):
            raise InputError(f"a face like 'f {_text(texts[0])[:60]}' of the file cannot be read") from None
        so_far = np.array([face[1:] for face in faces], np.int64)
        of_vertex = _from_zero(index[..., 0], so_far[:, :1])
        of_place = _from_zero(index[..., 1], so_far[:, 1:2]) if each > 1 else np.full_like(of_vertex, NO_CORNER)
        vertex.append(fans(of_vertex))
        place.append(fans(of_place))
        material.append(np.repeat(so_far[:, 2], corners - 2))
    return np.concatenate(vertex), np.concatenate(place), np.concatenate(material)


def _from_zero(index: np.ndarray, so_far: np.ndarray) -> np.ndarray:
    """Indices from 0; in the file they count from 1, and negative ones back from what came before the face."""
    return np.where(index < 0, index + so_far, index - 1)


def _materials(path: Path, lines: _Lines, notes: list[str]) -> list[Material]:
    """The materials in the order of their first use."""
    found: dict[str, Material] = {}
    for library in lines.libraries:
        whole = find_beside(path.parent, library)
        files = {library: whole} if whole else {name: find_beside(path.parent, name) for name in library.split()}
        for name, file in files.items():
            if file is None:
                notes.append(f"its material file {name} is not there")
            else:
                for material, looks in read_materials(file, notes).items():
                    found.setdefault(material, looks)
    other_case = {name.casefold(): material for name, material in found.items()}
    missing = [name for name in lines.materials if name.casefold() not in other_case]
    if found and missing:
        notes.append(f"its material {missing[0]} is in no material file")
    return [found.get(name) or other_case.get(name.casefold()) or Material() for name in lines.materials]
