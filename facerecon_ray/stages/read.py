"""First stage: the bytes of each photo, of each frame of a clip and of what is in archives and Parquet files."""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import (
    MissingObjectError,
    ObjectTooLargeError,
    PhotoError,
    StorageError,
    StoreUnavailableError,
)
from facerecon_ray.stages.chain import READ
from facerecon_ray.stages.clip_frames import ClipFrames
from facerecon_ray.stages.stage import OK, UNREADABLE, Batch
from facerecon_ray.storage.input_files import file_size
from facerecon_ray.storage.objects import as_bucket, open_store
from facerecon_ray.storage.photos.archives import ArchiveReader
from facerecon_ray.storage.photos.known_photos import Span
from facerecon_ray.storage.photos.tables import TableReader
from facerecon_ray.storage.schema import time_column
from facerecon_ray.storage.uris import (
    is_archive_name,
    is_clip_name,
    is_s3,
    is_table_name,
    path_of,
    split_fragment,
    split_frame,
    split_s3_uri,
)

_OF_A_DISK = {
    *(errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ESTALE),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT),
}
"""What is said of files on disks that were pulled out, and on shares whose server or network is gone."""

Attempt = tuple[bytes, str, float]
"""Contents, what is wrong ("" when nothing is), and seconds."""


class Reader:
    """Read photos; what cannot be read becomes a row with status "unreadable" and the reason.

    Input columns   photo_uri : (B,) str; perhaps span : (B,) dict or None, where in its archive a photo lies; perhaps
                    status, error, and others, which are passed on
    Output columns  photo_bytes : (B,) bytes, b"" where unreadable; photo_sha256 : (B,) str, hexadecimal digits of
                    theirs, "" likewise; status, error : (B,) str; read_ms : (B,) float32

    A photo that an S3 store does not deliver within the time limit is unreadable too, if the store delivers others.
    One that answers nothing at all ends the job with `StoreUnavailableError`, as does a disk or a share that is gone:
    an outage makes no photo unreadable.

    Of an archive no more is read than the photo. Frames of a clip become JPEG files; those of one batch are decoded in
    one go, one after the other.
    """

    def __init__(self, settings: ReadSettings, s3: S3Settings | None = None) -> None:
        self._settings = settings
        self._s3 = s3 or S3Settings()
        self._tables = TableReader(self._s3, settings.max_bytes)
        self._archives = ArchiveReader(self._s3, settings.max_bytes)
        self._threads = ThreadPoolExecutor(settings.threads)

    def __call__(self, batch: Batch) -> Batch:
        uris = batch["photo_uri"]
        result: Batch = {
            "status": np.full(len(uris), OK, object),
            "error": np.full(len(uris), "", object),
            **{name: values for name, values in batch.items() if name != "span"},
            "photo_bytes": np.full(len(uris), b"", object),
            "photo_sha256": np.full(len(uris), "", object),
            time_column(READ.name): np.zeros(len(uris), np.float32),
        }
        wanted = np.flatnonzero(result["status"] == OK)
        result["status"], result["error"] = result["status"].copy(), result["error"].copy()
        files = _by_file(uris, wanted)
        spans = batch.get("span", np.full(len(uris), None, object))
        names = [[(uris[row], spans[row] and Span(**spans[row])) for row in rows] for rows in files]
        for rows, attempts in zip(files, self._threads.map(self._attempts, names), strict=True):
            for row, (data, error, seconds) in zip(rows, attempts, strict=True):
                result["photo_bytes"][row] = data
                result["photo_sha256"][row] = hashlib.sha256(data).hexdigest() if data else ""
                result["error"][row] = error
                result["status"][row] = UNREADABLE if error else OK
                result[time_column(READ.name)][row] = seconds * 1000
        self._tables.rest()
        return result

    def _attempts(self, photos: list[tuple[str, Span | None]]) -> list[Attempt]:
        """A photo, or what is in one clip or Parquet file."""
        file, _ = split_fragment(photos[0][0])
        if is_clip_name(file):
            with ClipFrames(file, self._settings, self._s3) as frames:
                return [self._attempt(partial(self._read_frame, frames, uri)) for uri, _ in photos]
        is_inside = is_archive_name(file) or is_table_name(file)
        read = self._read_member if is_inside else self._read_photo
        return [self._attempt(partial(read, *photo)) for photo in photos]

    def _attempt(self, read: Callable[[], bytes]) -> Attempt:
        start = time.perf_counter()
        try:
            data, error = read(), ""
            if not data:
                error = "the file is empty"
        except PhotoError as problem:
            data, error = b"", str(problem)
        except OSError as problem:
            data, error = b"", _describe(problem)
        except ValueError:
            data, error = b"", "the path is not a valid file name"
        return data, error, time.perf_counter() - start

    def _read_frame(self, frames: ClipFrames, uri: str) -> bytes:
        with self._store_errors(uri):
            return frames.read(split_frame(uri)[1])

    def _read_member(self, uri: str, span: Span | None) -> bytes:
        with self._store_errors(uri):
            try:
                inside = self._archives if is_archive_name(split_fragment(uri)[0]) else self._tables
                return inside.read(uri, span)
            except ObjectTooLargeError as error:
                raise self._too_large(error.size) from None

    def _read_photo(self, uri: str, _: Span | None) -> bytes:
        if not is_s3(uri):
            path = path_of(uri)
            with _disk_errors(path):
                if (size := file_size(path)) > self._settings.max_bytes:
                    raise self._too_large(size)
                return path.read_bytes()
        bucket, key = split_s3_uri(uri)
        with self._store_errors(uri):
            try:
                return open_store(f"s3://{bucket}", self._s3).read(key, self._settings.max_bytes)
            except ObjectTooLargeError as error:
                raise self._too_large(error.size) from None

    @contextmanager
    def _store_errors(self, uri: str) -> Iterator[None]:
        """An object that cannot be read is a photo that cannot be used, if its bucket answers."""
        try:
            yield
        except StorageError as error:
            store = as_bucket(open_store(f"s3://{split_s3_uri(uri)[0]}", self._s3))
            assert store is not None
            if isinstance(error, MissingObjectError):
                raise PhotoError("the object does not exist") from None
            store.check_bucket()
            if isinstance(error, StoreUnavailableError):
                raise PhotoError(
                    f"the object could not be read within {self._s3.time_limit:g} seconds, though the store answers"
                ) from None
            raise PhotoError(f"the object cannot be read: {error}") from None

    def _too_large(self, size: int) -> PhotoError:
        return PhotoError(
            f"the file has {size:,} bytes, more than the {self._settings.max_bytes:,} that read.max_bytes allows"
        )


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """A file that cannot be read is a photo that cannot be used, if its folder can."""
    try:
        yield
    except OSError as error:
        if error.errno in _OF_A_DISK:
            try:
                os.scandir(path.parent).close()
            except OSError:
                raise StoreUnavailableError(
                    f"{path.parent}: {error.strerror}; look whether its disk or share is still there"
                ) from None
        raise


def _describe(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "there is no permission to read the file"
    return f"the file cannot be read: {error.strerror or os.strerror(error.errno or 0)}"


def _by_file(uris: np.ndarray, rows: np.ndarray) -> list[list[int]]:
    """Rows, those that are in the same clip or Parquet file together."""
    files: dict[str, list[int]] = {}
    for row in rows.tolist():
        file, fragment = split_fragment(uris[row])
        is_shared = is_table_name(file) or (fragment and is_clip_name(file))
        files.setdefault(f"{file}#" if is_shared else uris[row], []).append(row)
    return list(files.values())
