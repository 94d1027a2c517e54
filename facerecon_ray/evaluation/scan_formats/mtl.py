"""Material files (.mtl) of Wavefront OBJ."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facerecon_ray.evaluation.scan_formats.colour_values import TextureError, texture_pixels
from facerecon_ray.evaluation.scan_formats.nearby_files import find_beside

VALUES_OF_OPTIONS = {"-mm": 2, "-o": 3, "-s": 3, "-t": 3}
"""How many values the options of a map may have, where it is not one."""


@dataclass(frozen=True, eq=False)
class Material:
    """How a part of a surface looks.

    colour   (3,) 0 to 255, None where none is given
    texture  (H, W, 3) uint8, None where there is none or it cannot be read
    scale    (2,) and
    offset   (2,) of places in the texture, v from the bottom up
    """

    colour: np.ndarray | None = None
    texture: np.ndarray | None = None
    scale: np.ndarray | None = None
    offset: np.ndarray | None = None


def read_materials(path: Path, notes: list[str]) -> dict[str, Material]:
    """Materials of a file by their names; what cannot be read of them is added to the notes."""
    found: dict[str, Material] = {}
    entries: dict[str, str] = {}
    text = path.read_text("utf-8-sig", "surrogateescape").replace("\\\n", " ")
    for line in [*text.splitlines(), "newmtl"]:
        key, rest = (*line.split(None, 1), "", "")[:2]
        if key.lower() == "newmtl" and "newmtl" in entries:
            found[entries["newmtl"]] = _material(entries, path.parent, notes)
            entries = {}
        entries[key.lower()] = rest.strip()
    return found


def _material(entries: dict[str, str], folder: Path, notes: list[str]) -> Material:
    if picture := entries.get("map_kd"):
        name, scale, offset = _map(picture)
        return Material(None, read_texture(folder, name, notes), scale, offset)
    values = entries.get("kd", "").split()
    if not values or not all(_is_number(value) for value in values):
        return Material()
    return Material(255 * np.resize(np.array(values, np.float64), 3).clip(0, 1))


def read_texture(folder: Path, name: str, notes: list[str]) -> np.ndarray | None:
    """The pixels of a texture that a file in a folder names; None, and a note, where there are none."""
    place = find_beside(folder, name)
    if place is None:
        notes.append(f"its texture {name} is not there")
        return None
    try:
        return texture_pixels(place.read_bytes())
    except (TextureError, OSError) as error:
        notes.append(f"its texture {place.name} cannot be read: {error}")
        return None


def _map(text: str) -> tuple[str, np.ndarray, np.ndarray]:
    """File name, scale and offset of a map; its options stand before the name, which may have blanks in it."""
    scale, offset = np.ones(2), np.zeros(2)
    rest = text
    while rest.startswith("-") and " " in rest:
        option, _, rest = rest.partition(" ")
        values: list[str] = []
        for index in range(VALUES_OF_OPTIONS.get(option.lower(), 1)):
            value, _, after = rest.lstrip().partition(" ")
            if not after or (index and not _is_number(value)):
                break
            values.append(value)
            rest = after.lstrip()
        numbers = [float(value) for value in values if _is_number(value)][:2]
        if option.lower() == "-s":
            scale[: len(numbers)] = numbers
        elif option.lower() == "-o":
            offset[: len(numbers)] = numbers
    return rest.strip(), scale, offset


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
