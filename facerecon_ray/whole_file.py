"""A file that a command writes where its user says: as a whole or not at all, and refused before the work for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from facerecon_ray.errors import OutputError


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written; creates nothing.

    Raises
    ------
    OutputError
        with what is in the way
    """
    try:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder; name a file")
        place = path if _is_stream(path) else path.resolve().parent
        if not place.exists():
            raise OutputError(f"cannot write {path}: there is no folder {place}")
        if not os.access(place, os.W_OK):
            raise OutputError(f"cannot write {path}: no permission to do so")
    except (OSError, RuntimeError) as error:  # what a path that is too long, or links in a circle, raise
        raise OutputError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for writing, that gets its name when all is written; a pipe or a device is written to as it is.

    Raises
    ------
    OutputError
        when it cannot be written; an earlier file of that name stays then
    """
    check_file(path)
    stream = _is_stream(path)
    target = path if stream else path.resolve()
    unfinished = target if stream else target.with_name(f".{target.name}.tmp")
    try:
        try:
            with unfinished.open("wb") as file:
                yield file
            if not stream:
                unfinished.replace(target)
        finally:
            if not stream:
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None


def write_whole(data: bytes, path: Path) -> None:
    """Write a file as a whole or not at all; errors as those of `whole_file`."""
    with whole_file(path) as file:
        file.write(data)


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file()
