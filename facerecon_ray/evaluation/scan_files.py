"""Scans from files: any mesh that trimesh reads, in the folder layout of MICC Florence.

DIR/subject_NN/Model/frontal1/obj/*.obj    with its material and texture beside it
DIR/*.obj, .ply, .glb, .stl                or just a folder of meshes, a subject each
DIR/subjects.csv                           may say who they are: subject, gender (0 male to 1 female), age in years,
                                           african, asian, caucasian (shares); empty where nobody knows
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.rows import ATTRIBUTES
from facerecon_ray.evaluation.scan import Scan, checked
from facerecon_ray.geometry.mesh_picture import MeshColours

SUFFIXES = (".obj", ".ply", ".glb", ".stl", ".off")
SUBJECT = re.compile(r"subject_?(\d+)", re.IGNORECASE)
MODEL_FOLDERS = ("Model/frontal1/obj", "Model/frontal2/obj", "Model/frontal1", "Model")
"""Where MICC Florence keeps a subject's scans, the best one first."""

ATTRIBUTES_FILE = "subjects.csv"


@dataclass(frozen=True)
class ScanFile:
    """One subject of a folder.

    subject  its name
    path     of the mesh, None where the folder holds none
    reason   why there is no mesh, "" where there is one
    """

    subject: str
    path: Path | None
    reason: str = ""


def list_scans(folder: Path) -> list[ScanFile]:
    """All subjects of a folder, in the order of their names; one without a mesh is listed with a reason.

    Raises
    ------
    InputError
        when there is no such folder, or nothing in it looks like a subject or a mesh
    """
    if not folder.is_dir():
        raise InputError(f"scans {folder}: there is no such folder")
    subjects = sorted((p for p in folder.iterdir() if p.is_dir() and SUBJECT.fullmatch(p.name)), key=_number)
    if subjects:
        return [_scan_of(subject) for subject in subjects]
    meshes = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not meshes:
        raise InputError(
            f"scans {folder}: it has neither subject_NN folders (MICC Florence) nor meshes ({', '.join(SUFFIXES)})"
        )
    return [ScanFile(path.stem, path) for path in meshes]


def read_scan(path: Path) -> Scan:
    """Read a mesh, with its texture or its vertices' colours.

    Raises
    ------
    InputError
        when the file cannot be read as a mesh or has no usable surface
    """
    try:
        mesh = trimesh.load(path, force="mesh", process=False)
    except Exception as error:  # loaders raise errors of every kind on damaged files
        raise InputError(f"{path.name} cannot be read as a mesh ({type(error).__name__})") from error
    triangles = np.asarray(getattr(mesh, "faces", ()), np.int64).reshape(-1, 3)
    vertices = np.asarray(getattr(mesh, "vertices", ()), np.float64).reshape(-1, 3)
    return checked(Scan(vertices, triangles, _colours(mesh, len(vertices))))


def read_attributes(folder: Path) -> dict[str, dict[str, float]]:
    """What subjects.csv says of the subjects, by subject; nothing where there is no such file.

    Raises
    ------
    InputError
        when it cannot be read, or a value is no number
    """
    path = folder / ATTRIBUTES_FILE
    if not path.is_file():
        return {}
    found: dict[str, dict[str, float]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                found[row["subject"]] = {name: float(row[name]) for name in ATTRIBUTES if row.get(name)}
    except KeyError:
        raise InputError(f"{path}: there is no column 'subject'") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    return found


def _number(folder: Path) -> tuple[int, str]:
    match = SUBJECT.fullmatch(folder.name)
    return (int(match[1]) if match else 0, folder.name)


def _scan_of(folder: Path) -> ScanFile:
    """The first mesh in the first of the usual folders that has one."""
    for place in MODEL_FOLDERS:
        meshes = sorted(p for p in (folder / place).glob("*") if p.suffix.lower() in SUFFIXES)
        if meshes:
            return ScanFile(folder.name, meshes[0])
    return ScanFile(folder.name, None, f"no mesh in {MODEL_FOLDERS[0]}")


def _colours(mesh: trimesh.Trimesh, count: int) -> MeshColours:
    visual = mesh.visual
    if visual.kind == "texture" and visual.uv is not None and len(visual.uv) == count:
        picture = getattr(visual.material, "image", None) or getattr(visual.material, "baseColorTexture", None)
        if isinstance(picture, Image.Image):
            # trimesh counts v from the bottom up.
            uv = (np.asarray(visual.uv) * (1, -1) + (0, 1)).astype(np.float32)
            return MeshColours(uv=uv, texture=np.asarray(picture.convert("RGB")))
    if visual.kind == "vertex" and len(visual.vertex_colors) == count:
        return MeshColours(vertex=np.ascontiguousarray(visual.vertex_colors[:, :3], np.uint8))
    return MeshColours()
