"""A local folder as an object store."""

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from facerecon_ray.errors import MissingObjectError, ObjectTooLargeError, StorageError
from facerecon_ray.storage.folder_walk import Entry, walk_files
from facerecon_ray.storage.objects import ObjectStore, StoredObject

TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp")
"""Names of unfinished files: hidden, and passed over by listings."""

NOT_SUPPORTED = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOLCK, errno.EMLINK}
"""What file systems say to calls that they do not know: FAT and exFAT, shares and buckets that are mounted."""

_ATTEMPTS = 20
_FIRST_TIME, _LAST_TIME = (datetime(year, 12, 31, tzinfo=UTC).timestamp() for year in (1, 9998))


class FolderStore(ObjectStore):
    """Files below a folder, which is created by the first write.

    Contents are flushed to the disk before a file gets its name, so that a power cut leaves no empty files behind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = str(folder)

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.read`."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if max_bytes is not None and size > max_bytes:
                    raise ObjectTooLargeError(f"{path} has {size:,} bytes, more than {max_bytes:,}", size)
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise MissingObjectError(f"{path} does not exist") from None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from None

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """See `ObjectStore.read_range`."""
        path = self._path(name)
        try:
            with path.open("rb") as file:
                file.seek(start)
                data = file.read(end - start)
        except (FileNotFoundError, NotADirectoryError):
            raise MissingObjectError(f"{path} does not exist") from None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from None
        if len(data) != end - start:
            raise StorageError(f"{path} ends before its byte {end:,}")
        return data

    def write(self, name: str, data: bytes) -> None:
        """See `ObjectStore.write`."""
        self.write_stream(name, (data,))

    def write_stream(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `ObjectStore.write_stream`."""
        target = self._path(name)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        try:
            _write_flushed(temporary, pieces)
            temporary.replace(target)
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror}") from None
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def write_if_absent(self, name: str, data: bytes) -> bool:
        """See `ObjectStore.write_if_absent`."""
        target = self._path(name)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
        try:
            _write_flushed(temporary, (data,))
            _link(target, temporary)
        except FileExistsError:
            return False
        except OSError as error:
            raise StorageError(f"cannot write {target}: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.list`; sorted by the parts of the names, what lies behind links to folders last."""
        above = prefix.rpartition("/")[0]
        start = f"{above}/" if above else ""

        def leads_there(name: str, _: Entry) -> bool:
            name = f"{start}{name}/"
            return name.startswith(prefix) or prefix.startswith(name)

        try:
            for name, entry in walk_files(self._path(above) if above else self.folder, leads_there):
                if entry and f"{start}{name}".startswith(prefix) and not TEMPORARY.fullmatch(entry.name):
                    stored = _stored(f"{start}{name}", entry)
                    if stored:
                        yield stored
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StorageError(f"cannot list {error.filename}: {error.strerror}") from None

    def exists(self, name: str) -> bool:
        """See `ObjectStore.exists`."""
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        """See `ObjectStore.delete`; folders that are empty then go as well."""
        path = self._path(name)
        try:
            path.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as error:
            raise StorageError(f"cannot delete {path}: {error.strerror}") from None
        for parent in path.parents:
            if parent == self.folder:
                return
            try:
                parent.rmdir()
            except OSError:
                return

    def delete_unfinished(self, folders: Iterable[str]) -> None:
        """See `ObjectStore.delete_unfinished`."""
        for folder in folders:
            with suppress(OSError):
                for path in (self.folder / folder).iterdir():
                    if TEMPORARY.fullmatch(path.name):
                        path.unlink()

    def _path(self, name: str) -> Path:
        return self.folder / self._check_name(name)


def _stored(name: str, entry: Entry) -> StoredObject | None:
    """An entry as an object; None for what is no file, or is gone meanwhile."""
    try:
        if not entry.is_file():
            return None
        status = entry.stat()
    except OSError:
        return None
    modified = datetime.fromtimestamp(min(max(status.st_mtime, _FIRST_TIME), _LAST_TIME), UTC)
    return StoredObject(name, status.st_size, modified, version_of(status))


def version_of(status: os.stat_result) -> str:
    """What changes with the contents of a file."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _write_flushed(path: Path, pieces: Iterable[bytes]) -> None:
    with _created(path) as file:
        for data in pieces:
            file.write(data)
        file.flush()
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise


def _created(path: Path) -> BinaryIO:
    """A new file; tried again while others delete the last files of its folders, which go with them."""
    attempts = 0
    while True:
        attempts += 1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("wb")
        except (FileNotFoundError, FileExistsError):
            if attempts == _ATTEMPTS:
                raise


def _link(target: Path, temporary: Path) -> None:
    """Give a file a name unless that is taken.

    On a file system without hard links only the lock of the output keeps others from taking it in between.
    """
    try:
        target.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise
        if target.exists():
            raise FileExistsError from None
        temporary.replace(target)
