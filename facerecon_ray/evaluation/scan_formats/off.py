"""OFF: polygons, with colours of vertices or faces where the file has them."""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_formats.colour_values import own_colours
from facerecon_ray.evaluation.scan_formats.parts import Part, fans, part_of_corners

HEADER = re.compile(rb"((?:ST|C|N|4|n)*)OFF\b")
"""Geomview begins with ST, C and N, and writes normals before colours; MeshLab with N, and writes them after."""

COLOUR_SIZES = (3, 4)


def read_off(path: Path, notes: list[str]) -> list[Part]:
    """The part of a file; what cannot be read of its colours is added to the notes.

    Raises
    ------
    InputError
        when it is damaged, binary, or not in three dimensions
    """
    text = re.sub(rb"#[^\r\n]*", b"", path.read_bytes()).lstrip(b"\xef\xbb\xbf \t\r\n")
    header = HEADER.match(text)
    if header is None:
        raise InputError("the file does not begin with OFF")
    letters = header[1].replace(b"ST", b"T")
    lines = [line.split() for line in text[header.end() :].splitlines()]
    lines = [line for line in lines if line]
    if b"4" in letters or b"n" in letters:
        raise InputError("the file is not in three dimensions")
    if lines and lines[0] == [b"BINARY"]:
        raise InputError("the file is a binary OFF; save it as text, or as PLY")
    try:
        count, faces = int(lines[0][0]), int(lines[0][1])
        rows = lines[1 : 1 + count + faces]
        if len(rows) < count + faces:
            raise InputError("the file is shorter than its header says")
        vertices = np.array([row[:3] for row in rows[:count]], np.float64)
        before, after = 3, 2 if b"T" in letters else 0
        if b"NC" in letters:
            after += 3
        elif b"N" in letters:
            before += 3
        of_vertices = [row[before : len(row) - after] for row in rows[:count]]
        corners, of_face, of_faces = _polygons(rows[count:])
        own = _colours(of_vertices, notes)
        if own is not None:
            return [part_of_corners(vertices, corners, own, corners)]
        own = _colours(of_faces, notes)
    except (ValueError, IndexError, OverflowError):
        raise InputError("the file is damaged: it has something else where numbers should be") from None
    if own is None:
        return [part_of_corners(vertices, corners)]
    different, index = np.unique(own, axis=0, return_inverse=True)
    return [part_of_corners(vertices, corners, different, np.repeat(index.reshape(-1)[of_face, None], 3, 1))]


def _polygons(rows: list[list[bytes]]) -> tuple[np.ndarray, np.ndarray, list[list[bytes]]]:
    """(T, 3) triangles, (T,) face that each is of, and what follows the corners of each face."""
    by_count: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_count[int(row[0])].append(index)
    corners, of_face = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
    for count, some in by_count.items():
        if count >= 3:
            corners.append(fans(np.array([rows[index][1 : 1 + count] for index in some], np.int64)))
            of_face.append(np.repeat(some, count - 2))
    return np.concatenate(corners), np.concatenate(of_face), [row[1 + int(row[0]) :] for row in rows]


def _colours(texts: list[list[bytes]], notes: list[str]) -> np.ndarray | None:
    """(N, 3) 0 to 255, nan where there is none, None when there is none at all."""
    found = np.full((len(texts), 3), np.nan)
    there = [index for index, text in enumerate(texts) if len(text) in COLOUR_SIZES]
    if not there:
        if any(texts):
            notes.append("its colours are numbers in a table that is not in the file")
        return None
    values = [texts[index][:3] for index in there]
    numbers = np.array(values, np.float64)
    whole = not any(b"." in value for row in values for value in row)
    found[there] = own_colours(numbers.astype(np.int64) if whole else numbers, notes)
    return found
