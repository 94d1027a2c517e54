"""First stage: the bytes of each photo."""

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

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
from facerecon_ray.stages.stage import OK, UNREADABLE, Batch
from facerecon_ray.storage.objects import as_bucket, open_store
from facerecon_ray.storage.uris import is_s3, path_of, split_s3_uri


class Reader:
    """Read photos; what cannot be read becomes a row with status "unreadable" and the reason.

    Input column    photo_uri : (B,) str; perhaps status, error, and others, which are passed on
    Output columns  photo_bytes : (B,) bytes, b"" where unreadable; photo_sha256 : (B,) str, hexadecimal digits of
                    theirs, "" likewise; status, error : (B,) str; read_ms : (B,) float32

    A photo that an S3 store does not deliver within the time limit is unreadable too, if the store delivers others.
    One that answers nothing at all ends the job with `StoreUnavailableError`: an outage makes no photo unreadable.
    """

    def __init__(self, settings: ReadSettings, s3: S3Settings | None = None) -> None:
        self._max_bytes = settings.max_bytes
        self._s3 = s3 or S3Settings()
        self._threads = ThreadPoolExecutor(settings.threads)

    def __call__(self, batch: Batch) -> Batch:
        uris = batch["photo_uri"]
        result: Batch = {
            "status": np.full(len(uris), OK, object),
            "error": np.full(len(uris), "", object),
            **batch,
            "photo_bytes": np.full(len(uris), b"", object),
            "photo_sha256": np.full(len(uris), "", object),
            "read_ms": np.zeros(len(uris), np.float32),
        }
        wanted = np.flatnonzero(result["status"] == OK)
        result["status"], result["error"] = result["status"].copy(), result["error"].copy()
        for row, (data, error, seconds) in zip(wanted, self._threads.map(self._attempt, uris[wanted]), strict=True):
            result["photo_bytes"][row] = data
            result["photo_sha256"][row] = hashlib.sha256(data).hexdigest() if data else ""
            result["error"][row] = error
            result["status"][row] = UNREADABLE if error else OK
            result["read_ms"][row] = seconds * 1000
        return result

    def _attempt(self, uri: str) -> tuple[bytes, str, float]:
        """Bytes, error ("" when there is none), seconds."""
        start = time.perf_counter()
        try:
            data, error = self._read_object(uri) if is_s3(uri) else self._read_file(uri), ""
            if not data:
                error = "the file is empty"
        except PhotoError as problem:
            data, error = b"", str(problem)
        except OSError as problem:
            data, error = b"", _describe(problem)
        except ValueError:
            data, error = b"", "the path is not a valid file name"
        return data, error, time.perf_counter() - start

    def _read_file(self, uri: str) -> bytes:
        path = path_of(uri)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError("this is a folder, not a photo")
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError("this is not a regular file")
        if status.st_size > self._max_bytes:
            raise self._too_large(status.st_size)
        return path.read_bytes()

    def _read_object(self, uri: str) -> bytes:
        bucket, key = split_s3_uri(uri)
        store = as_bucket(open_store(f"s3://{bucket}", self._s3))
        assert store is not None
        try:
            return store.read(key, self._max_bytes)
        except MissingObjectError:
            raise PhotoError("the object does not exist") from None
        except ObjectTooLargeError as error:
            raise self._too_large(error.size) from None
        except StoreUnavailableError:
            store.check_bucket()
            raise PhotoError(
                f"the object could not be read within {self._s3.time_limit:g} seconds, though the store answers"
            ) from None
        except StorageError as error:
            store.check_bucket()
            raise PhotoError(f"the object cannot be read: {error}") from None

    def _too_large(self, size: int) -> PhotoError:
        return PhotoError(f"the file has {size:,} bytes, more than the {self._max_bytes:,} that read.max_bytes allows")


def _describe(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "there is no permission to read the file"
    return f"the file cannot be read: {error.strerror or os.strerror(error.errno or 0)}"
