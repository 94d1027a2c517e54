"""The output of a job: who may write to it, and what in it may be deleted."""

import os
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import OutputError, StorageError, StoreUnavailableError
from facerecon_ray.storage.folder_store import FolderStore
from facerecon_ray.storage.layout import GALLERY, MANIFEST, MESHES, PACKS, PIECES, PLAN, PREVIEWS, RUN_REPORT, VIEWER
from facerecon_ray.storage.objects import ObjectStore, as_bucket, open_store

_TEMPORARY = r"(\.[0-9a-f]{16}\.tmp)?"
_FACE_FILE = re.compile(rf"\.?(\d+\.(glb|obj|ply|jpg|png|js)|viewer\.html){_TEMPORARY}")
_PART_FILE = re.compile(rf"\.?part-\d+\.parquet{_TEMPORARY}")
_PACK_FILE = re.compile(rf"\.?(part-\d+-)?[0-9a-f]{{16}}\.tar{_TEMPORARY}")
_PLAN_FILE = re.compile(rf"\.?photos-\d+\.parquet{_TEMPORARY}")
# The manifest goes first: a photo it names counts as done, so its files must outlive it.
_FOLDERS = {
    MANIFEST: _PART_FILE,
    PLAN: _PLAN_FILE,
    PACKS: _PACK_FILE,
    **dict.fromkeys((MESHES, PREVIEWS, VIEWER), _FACE_FILE),
}
_PAGES = (GALLERY, RUN_REPORT)
_THREADS = 16
_DELETED_AT_ONCE = 1000


class OutputFolder:
    """Folder or prefix of a bucket for a job's results.

    Parameters
    ----------
    location : absolute path or s3://bucket/prefix; nothing is created before the first use
    settings : how S3 is reached
    """

    def __init__(self, location: str | Path, settings: S3Settings | None = None) -> None:
        self.store: ObjectStore = open_store(location, settings)
        self.uri = self.store.uri

    def link(self, name: str) -> str:
        """Address of a file in it, for a browser or a tool."""
        return Path(self.uri, name).as_uri() if isinstance(self.store, FolderStore) else self.store.describe(name)

    def check_writable(self) -> None:
        """Refuse a folder that cannot be created or written, or a bucket that is not there; creates nothing.

        Raises
        ------
        OutputError
            with what is in the way
        """
        if bucket := as_bucket(self.store):
            try:
                bucket.check_bucket()
            except StoreUnavailableError:
                raise
            except StorageError as error:
                raise OutputError(f"output {error}") from None
            return
        path = Path(self.uri)
        existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        if not existing.is_dir():
            raise OutputError(f"output {path}: {existing} is not a folder; choose another output")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise OutputError(f"output {path}: no permission to write in {existing}; choose another output")

    def own_names(self) -> list[str]:
        """Names in it that a job writes to."""
        if isinstance(self.store, FolderStore):
            return [name for name in (*_FOLDERS, *_PAGES) if os.path.lexists(self.store.folder / name)]
        names = [name for name in _FOLDERS if next(self.store.list(f"{name}/"), None)]
        return [*names, *filter(self.store.exists, _PAGES)]

    def write(self, name: str, data: bytes) -> None:
        """Write a file under its relative name: afterwards it is there as a whole, or as it was before.

        Raises
        ------
        OutputError
            when it cannot be written, or the name leads out of the folder
        """
        try:
            self.store.write(name, data)
        except StoreUnavailableError:
            raise
        except StorageError as error:
            raise OutputError(f"{error}; the same command continues the run") from None

    def write_stream(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a file of any size; as `write`, but what the pieces raise passes as it is."""
        try:
            self.store.write_stream(name, pieces)
        except (StoreUnavailableError, OutputError):
            raise
        except StorageError as error:
            raise OutputError(f"{error}; the same command continues the run") from None

    def delete(self, names: Iterable[str]) -> None:
        """Delete files, many at a time."""
        remaining = iter(names)
        with ThreadPoolExecutor(_THREADS) as threads:
            while some := list(islice(remaining, _DELETED_AT_ONCE)):
                list(threads.map(self.store.delete, some))

    def clear(self) -> None:
        """Delete the results of an earlier run except its record, and nothing that a job did not write."""
        for folder, own_file in _FOLDERS.items():
            self._clear(folder, own_file)
        for page in _PAGES:
            self.store.delete(page)

    def clear_pieces(self) -> None:
        """Delete pieces of packs, unfinished ones too; only while nobody writes."""
        self._clear(PIECES, _PACK_FILE)

    def _clear(self, folder: str, own_file: re.Pattern[str]) -> None:
        if isinstance(self.store, FolderStore):
            _delete_below(self.store.folder / folder, own_file)
        else:
            names = (found.name for found in self.store.list(f"{folder}/"))
            self.delete(name for name in names if own_file.fullmatch(name.rpartition("/")[2]))


def _delete_below(folder: Path, own_file: re.Pattern[str]) -> None:
    """Delete the files whose names match, unfinished ones too, and the folders that are empty then."""
    try:
        for parent, _, names in os.walk(folder, topdown=False):
            for name in filter(own_file.fullmatch, names):
                Path(parent, name).unlink()
            if not any(Path(parent).iterdir()):
                Path(parent).rmdir()
    except OSError as error:
        raise OutputError(f"cannot delete {error.filename}: {error.strerror}") from None
