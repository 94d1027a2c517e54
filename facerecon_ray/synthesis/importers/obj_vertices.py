"""Vertices of a Wavefront OBJ file in the file's own order, which mesh libraries do not keep."""

from pathlib import Path

import numpy as np

from facerecon_ray.errors import PhotoError


def read_obj_vertices(path: Path) -> np.ndarray:
    """(N, 3) float64, in the file's unit; whatever else the file holds is not read.

    Raises
    ------
    PhotoError
        when the file is missing, is no OBJ file, or a vertex is not three finite numbers
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise PhotoError(f"{path}: {error.strerror}; a mesh in OBJ format was expected") from None
    rows = [line.split()[1:4] for line in lines if line.lstrip()[:2] in (b"v ", b"v\t")]
    if not rows:
        raise PhotoError(f"{path}: it has no vertices; a mesh in OBJ format was expected")
    try:
        vertices = np.array(rows, dtype=object).astype(np.float64)
    except ValueError:
        vertices = np.full((1, 3), np.nan)
    if vertices.shape[1:] != (3,) or not np.isfinite(vertices).all():
        raise PhotoError(f"{path}: a vertex is not three finite numbers; a mesh in OBJ format was expected")
    return vertices
