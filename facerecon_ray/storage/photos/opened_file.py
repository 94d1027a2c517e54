"""Files that hold several photos, on a disk or in a bucket, opened to be read in places."""

import os
from dataclasses import dataclass
from typing import BinaryIO

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import ChangedObjectError
from facerecon_ray.storage.folder_store import version_of
from facerecon_ray.storage.input_files import file_size
from facerecon_ray.storage.objects import as_bucket, open_store
from facerecon_ray.storage.photos.known_photos import Span
from facerecon_ray.storage.uris import is_s3, path_of, split_s3_uri


@dataclass(frozen=True)
class OpenedFile:
    """A file, which whoever opened it closes.

    size     bytes
    version  changes with the contents
    """

    file: BinaryIO
    size: int
    version: str


def open_file(uri: str, s3: S3Settings, scattered: bool = False) -> OpenedFile:
    """Open a file.

    Parameters
    ----------
    scattered : whether little of it will be read here and there, from the start to the end

    Raises
    ------
    OSError, PhotoError, StorageError
        when it is not there or cannot be read
    """
    if not is_s3(uri):
        path = path_of(uri)
        file_size(path)
        file = path.open("rb")
        status = os.fstat(file.fileno())
        return OpenedFile(file, status.st_size, version_of(status))
    from facerecon_ray.storage.s3_object import open_object, open_scattered

    bucket, key = split_s3_uri(uri)
    store = as_bucket(open_store(f"s3://{bucket}", s3))
    assert store is not None
    found = store.find(key)
    opened = open_scattered(store, found) if scattered else open_object(store, found)
    return OpenedFile(opened, found.size, found.etag)


def read_span(uri: str, span: Span, s3: S3Settings) -> bytes:
    """Bytes of a file, of which no more is read.

    Raises
    ------
    ChangedObjectError
        when the file is of another version
    OSError, PhotoError, StorageError
        when it is not there or cannot be read
    """
    if not is_s3(uri):
        with path_of(uri).open("rb") as file:
            if version_of(os.fstat(file.fileno())) != span.version:
                raise ChangedObjectError(f"{uri} has changed meanwhile")
            file.seek(span.start)
            return file.read(span.size)
    bucket, key = split_s3_uri(uri)
    store = as_bucket(open_store(f"s3://{bucket}", s3))
    assert store is not None
    if not span.size:
        return b""
    return store.read_range(key, span.start, span.start + span.size, span.version)
