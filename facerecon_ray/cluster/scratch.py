"""Folders that last as long as the process that made them, even where that is killed: the next one deletes them."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facerecon_ray.errors import OutputError

_PREFIX = "facerecon-"
_IN_USE = ".in-use"
_JUST_MADE_SECONDS = 60.0
# Unix sockets lie in Ray's folder, and their paths may have 107 characters at most.
_SHORT_FOLDER = Path("/tmp")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder, closed to others, for the duration; those that killed processes have left are deleted first."""
    for left in _SHORT_FOLDER.glob(f"{_PREFIX}*/{_IN_USE}"):
        _delete_if_left(left)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_SHORT_FOLDER))
    except OSError as error:
        raise OutputError(f"cannot make a folder for Ray in {_SHORT_FOLDER}: {error.strerror}") from None
    try:
        with (folder / _IN_USE).open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
