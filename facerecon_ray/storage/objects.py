"""Object storage: named bytes in a folder or an S3 bucket, behind one small interface."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from facerecon_ray.config.settings import home_expanded
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import StorageError
from facerecon_ray.storage.uris import is_s3, path_of, scheme_of, split_s3_uri

if TYPE_CHECKING:
    from facerecon_ray.storage.s3_store import S3Store


@dataclass(frozen=True)
class StoredObject:
    """What a listing knows of an object.

    name      relative to the store
    size      bytes
    modified  with time zone
    etag      changes with the contents
    """

    name: str
    size: int
    modified: datetime
    etag: str


class ObjectStore(ABC):
    """Objects below one root. Instances are cheap, may be pickled, and may be shared by threads.

    Names are relative with "/" between their parts, none of which is empty, "." or "..".

    uri   absolute path of the folder, or s3://bucket/prefix
    """

    uri: str

    @abstractmethod
    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Contents of an object.

        Raises
        ------
        MissingObjectError
            when there is none of that name
        ObjectTooLargeError
            when it has more than `max_bytes`
        StoreUnavailableError
            when the store does not answer within its time limit
        StorageError
            when it cannot be read for another reason
        """

    @abstractmethod
    def read_range(self, name: str, start: int, end: int) -> bytes:
        """Bytes of an object from one place to another; errors as those of `read`."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write an object: afterwards it is there as a whole, or as it was before."""

    @abstractmethod
    def write_stream(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write an object of any size, as `write`; nothing is left of it when the pieces raise."""

    @abstractmethod
    def write_if_absent(self, name: str, data: bytes) -> bool:
        """Write an object unless one of that name exists; whether it was written."""

    @abstractmethod
    def delete_unfinished(self, folders: Iterable[str]) -> None:
        """Delete what killed writers have left in these folders; only while nobody writes."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Objects whose names start with a prefix, in a fixed order, a few at a time."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is an object of that name."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete an object; nothing happens when there is none."""

    def describe(self, name: str) -> str:
        """Full name of an object, for people."""
        return f"{self.uri.rstrip('/')}/{name}"

    def _check_name(self, name: str) -> str:
        if not name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
            raise StorageError(f"{self.uri}: refusing the name {name!r}, which may lead outside of it")
        return name


def open_store(uri: str | Path, settings: S3Settings | None = None) -> ObjectStore:
    """Store of a local folder or of s3://bucket/prefix; nothing is created or asked before the first use.

    Raises
    ------
    StorageError
        when the URI is of another kind or names no bucket
    """
    text = str(uri)
    scheme = scheme_of(text)
    if scheme == "s3":
        from facerecon_ray.storage.s3_store import S3Store

        bucket, prefix = split_s3_uri(text)
        return S3Store(bucket, prefix.strip("/"), settings or S3Settings())
    if scheme not in (None, "file"):
        raise StorageError(f"{text}: {scheme}:// is not supported; name a folder or s3://bucket/prefix")
    from facerecon_ray.storage.folder_store import FolderStore

    return FolderStore(home_expanded(path_of(text)).absolute())


def as_bucket(store: ObjectStore) -> "S3Store | None":
    """A store as what it is if it lies in an S3 bucket; the library for S3 is loaded only then."""
    if not is_s3(store.uri):
        return None
    from facerecon_ray.storage.s3_store import S3Store

    return store if isinstance(store, S3Store) else None
