"""STL: triangles alone."""

from pathlib import Path

import numpy as np
import trimesh

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan_formats.parts import Part


def read_stl(path: Path, notes: list[str]) -> list[Part]:
    """The part of a file; colours that some programs hide in it are not read, and noted.

    Raises
    ------
    InputError
        when it is damaged
    """
    try:
        mesh = trimesh.load(path, file_type="stl", force="mesh", process=False)
        vertices, triangles = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    except Exception as error:  # the parser raises errors of every kind on damaged files
        raise InputError(f"the file is no STL file, or it is damaged ({type(error).__name__})") from error
    if not len(triangles):  # of what it cannot read to its end, trimesh gives nothing
        raise InputError("the file is no STL file, or it is damaged")
    hidden = mesh.face_attributes.get("stl")
    if hidden is not None and np.ptp(hidden) > 0:
        notes.append("its colours, for which STL has no standard, are not read: save it as PLY")
    return [Part(vertices.reshape(-1, 3), triangles.reshape(-1, 3))]
