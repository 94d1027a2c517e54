"""The output folder: who may write to it, and writing files that are whole or not there."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facerecon_ray.errors import OutputError
from facerecon_ray.storage.layout import GALLERY, MANIFEST, MESHES, PREVIEWS, VIEWER

_LOCK = ".facerecon.lock"
_FACE_FILE = re.compile(r"\.?(\d+\.(glb|obj|ply|png|js)|viewer\.html)(\.tmp)?")
_PART_FILE = re.compile(r"\.?part-\d+\.parquet(\.tmp)?")
_FOLDERS = {MANIFEST: _PART_FILE, MESHES: _FACE_FILE, PREVIEWS: _FACE_FILE, VIEWER: _FACE_FILE}


class OutputFolder:
    """Folder of a job's results.

    Parameters
    ----------
    path : absolute path; nothing is created before `claimed`
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def check_writable(self) -> None:
        """Refuse a folder that cannot be created or written; creates nothing.

        Raises
        ------
        OutputError
            with what is in the way
        """
        existing = next(folder for folder in (self.path, *self.path.parents) if os.path.lexists(folder))
        if not existing.is_dir():
            raise OutputError(f"output {self.path}: {existing} is not a folder; choose another output")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise OutputError(f"output {self.path}: no permission to write in {existing}; choose another output")

    def own_names(self) -> list[str]:
        """Names in the folder that a job writes to."""
        return [name for name in (*_FOLDERS, GALLERY) if os.path.lexists(self.path / name)]

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Create the folder and keep every other run out of it for the duration.

        Raises
        ------
        OutputError
            when it cannot be created or another run is writing to it
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / _LOCK).open("w")
        except OSError as error:
            raise OutputError(f"output {self.path}: {error.strerror}; choose another output") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OutputError(f"output {self.path}: another run is writing to it; wait until it ends") from None
            yield

    def write(self, name: str, data: bytes) -> None:
        """Write a file under its relative name: afterwards it is there as a whole, or as it was before.

        Raises
        ------
        OutputError
            when it cannot be written, or the name leads out of the folder
        """
        target = self.path / name
        if not target.is_relative_to(self.path) or ".." in target.parts:
            raise OutputError(f"output {self.path}: refusing to write {name} outside of it")
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(target)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror}; the same command continues the run") from None

    def clear(self) -> None:
        """Delete the results of an earlier run except its record, and nothing that a job did not write.

        The manifest goes first: a photo it names counts as done, so its files must outlive it.
        """
        try:
            for name, own_file in _FOLDERS.items():
                _delete_below(self.path / name, own_file)
            (self.path / GALLERY).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot delete {error.filename}: {error.strerror}") from None


def _delete_below(folder: Path, own_file: re.Pattern[str]) -> None:
    """Delete the files whose names match, and the folders that are empty then."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in filter(own_file.fullmatch, names):
            Path(parent, name).unlink()
        if not any(Path(parent).iterdir()):
            Path(parent).rmdir()
