"""Files that a mesh file names: materials, textures and buffers beside it."""

from pathlib import Path, PurePosixPath


def find_beside(folder: Path, name: str) -> Path | None:
    """The file that a mesh in `folder` means by `name`, None where it is not there.

    Slashes may lean either way, letters be of another case, and the path be one of the machine that wrote the file; of
    such a path only the last part counts.
    """
    wanted = PurePosixPath(name.strip().strip('"').replace("\\", "/"))
    for candidate in dict.fromkeys((wanted, PurePosixPath(wanted.name))):
        try:
            found = Path(folder, candidate)
            found = found if found.is_file() else _other_case(folder, candidate)
            if found.is_file():
                return found
        except (OSError, ValueError):  # no name that a file can have
            continue
    return None


def _other_case(folder: Path, path: PurePosixPath) -> Path:
    """The path as the folders spell it, as far as they have it."""
    place = Path(path.anchor) if path.is_absolute() else folder
    for part in path.parts[1:] if path.is_absolute() else path.parts:
        if part == ".." or (place / part).exists() or not place.is_dir():
            place = place / part
        else:
            same = [entry for entry in sorted(place.iterdir()) if entry.name.casefold() == part.casefold()]
            place = same[0] if same else place / part
    return place
