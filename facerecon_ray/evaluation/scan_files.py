"""Scans from files: meshes in the folder layout of MICC Florence.

DIR/subject_NN/Model/frontal1/obj/*.obj    with its material and texture beside it
DIR/*.obj, .ply, .glb, .gltf, .off, .stl   or just a folder of meshes, a subject each
DIR/subjects.csv                           may say who they are, see `subjects_table`
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.scan import Scan, checked
from facerecon_ray.evaluation.scan_formats.gltf import read_gltf
from facerecon_ray.evaluation.scan_formats.obj import read_obj
from facerecon_ray.evaluation.scan_formats.off import read_off
from facerecon_ray.evaluation.scan_formats.parts import Part, joined
from facerecon_ray.evaluation.scan_formats.ply import read_ply
from facerecon_ray.evaluation.scan_formats.stl import read_stl
from facerecon_ray.storage.input_files import is_hidden

READERS: dict[str, Callable[[Path, list[str]], list[Part]]] = {
    ".obj": read_obj,
    ".ply": read_ply,
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".off": read_off,
    ".stl": read_stl,
}
"""What reads a mesh, by its suffix: the parts of a file, and, added to a list, what was left out of them."""

SUBJECT = re.compile(r"subject_?(\d+)", re.IGNORECASE)
MODEL_FOLDERS = ("Model/frontal1/obj", "Model/frontal2/obj", "Model/frontal1", "Model")
"""Where MICC Florence keeps a subject's scans, the best one first."""


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
    meshes = sorted(p for p in folder.iterdir() if p.suffix.lower() in READERS and not is_hidden(p.name))
    if not meshes:
        raise InputError(
            f"scans {folder}: it has neither subject_NN folders (MICC Florence) nor meshes ({', '.join(READERS)})"
        )
    return [ScanFile(path.stem, path) for path in meshes]


def read_scan(path: Path) -> Scan:
    """Read a mesh, with its textures or its vertices' colours; what cannot be read of those is in the scan's notes.

    Raises
    ------
    InputError
        when the file cannot be read as a mesh or has no usable surface
    """
    notes: list[str] = []
    try:
        parts = READERS[path.suffix.lower()](path, notes)
        return checked(joined(parts, list(dict.fromkeys(notes))))
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path.name} cannot be used: {error}") from None


def _number(folder: Path) -> tuple[int, str]:
    match = SUBJECT.fullmatch(folder.name)
    return (int(match[1]) if match else 0, folder.name)


def _scan_of(folder: Path) -> ScanFile:
    """The first mesh in the first of the usual folders that has one."""
    for place in MODEL_FOLDERS:
        found = (folder / place).glob("*")
        meshes = sorted(p for p in found if p.suffix.lower() in READERS and not is_hidden(p.name))
        if meshes:
            return ScanFile(folder.name, meshes[0])
    return ScanFile(folder.name, None, f"no mesh in {MODEL_FOLDERS[0]}")
