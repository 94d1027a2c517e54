"""The files below a folder: each folder once, whatever links lead to it."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

Entry = os.DirEntry[str]


def walk_files(folder: Path, enters: Callable[[str, Entry], bool]) -> Iterator[tuple[str, Entry | None]]:
    """Files below a folder, and whatever else is no folder, in the order of their names.

    Links to folders are followed when everything else has been searched, and lead into no folder for a second time: a
    folder counts as the same by its device and inode, where it has any.

    Parameters
    ----------
    folder : must exist
    enters : whether to search a folder, of this name relative to the first one

    Yields
    ------
    Relative name with "/" between its parts, and the entry; None in its place for a folder that was searched before

    Raises
    ------
    OSError
        when a folder cannot be listed, with its path as `filename`
    """
    searched: set[object] = {_identity(above) for above in Path(os.path.realpath(folder)).parents}
    links = deque([("", str(folder))])
    while links:
        name, path = links.popleft()
        if not _is_new(path, searched):
            yield name, None
            continue
        pending = [_entries(path, f"{name}/" if name else "")]
        while pending:
            name, entry = next(pending[-1], ("", None))
            if entry is None:
                pending.pop()
            elif not is_folder(entry):
                yield name, entry
            elif not enters(name, entry):
                continue
            elif entry.is_symlink():
                links.append((name, entry.path))
            elif _is_new(entry.path, searched):
                with suppress(FileNotFoundError):
                    pending.append(_entries(entry.path, f"{name}/"))
            else:
                yield name, None


def is_folder(entry: Entry) -> bool:
    """Whether an entry is a folder or leads to one; a link to itself or through a file does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(path: str, above: str) -> Iterator[tuple[str, Entry]]:
    with os.scandir(path) as found:
        ordered = sorted(found, key=lambda entry: entry.name)
    return ((above + entry.name, entry) for entry in ordered)


def _is_new(path: str, searched: set[object]) -> bool:
    """Whether a folder was not searched before; from now on it counts as searched."""
    identity = _identity(path)
    if identity in searched:
        return False
    searched.add(identity)
    return True


def _identity(path: str | Path) -> object:
    """A folder's device and inode, its path where the file system numbers nothing."""
    status = Path(path).stat()
    return status.st_dev << 64 | status.st_ino if status.st_ino else os.path.realpath(path)
