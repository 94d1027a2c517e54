"""Folders that last as long as the process that made them, even where that is killed: the next one deletes them."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facerecon_ray.errors import OutputError

_PREFIX = "facerecon-"
_IN_USE = ".in-use"
_JUST_MADE_SECONDS = 60.0
_SHORT_FOLDER = Path("/tmp")
# Unix sockets lie in Ray's folder, with names of 87 characters, and their paths may have 107 at most.
_LONGEST_PATH = 20


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, closed to others, for the duration; those that killed processes have left are deleted first."""
    place = _place()
    for left in place.glob(f"{_PREFIX}*/{_IN_USE}"):
        _delete_if_left(left)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    except OSError as error:
        raise OutputError(
            f"cannot make a folder for Ray in {place}: {error.strerror}; "
            f"set TMPDIR to another folder, whose path has at most {_LONGEST_PATH} characters"
        ) from None
    try:
        with (folder / _IN_USE).open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    """Where paths are short; where that may not be written, what the environment names, if it is short as well."""
    if not os.access(_SHORT_FOLDER, os.W_OK | os.X_OK):
        with suppress(FileNotFoundError):
            other = Path(tempfile.gettempdir())
            return other if len(str(other)) <= _LONGEST_PATH else _SHORT_FOLDER
    return _SHORT_FOLDER


def _delete_if_left(mark: Path) -> None:
    try:
        if time.time() - mark.stat().st_mtime < _JUST_MADE_SECONDS:
            return
        with mark.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(mark.parent, ignore_errors=True)
    except OSError:
        # Somebody's who runs, or another user's.
        return
