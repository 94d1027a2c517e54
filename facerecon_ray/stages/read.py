"""First stage: the bytes of each photo."""

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.errors import PhotoError
from facerecon_ray.stages.stage import OK, UNREADABLE, Batch
from facerecon_ray.storage.uris import path_of

_THREADS = 4


class Reader:
    """Read files; what cannot be read becomes a row with status "unreadable" and the reason.

    Input column    photo_uri : (B,) str
    Output columns  photo_bytes : (B,) bytes, b"" where unreadable; status, error : (B,) str; read_ms : (B,) float32
    """

    def __init__(self, settings: ReadSettings) -> None:
        self._max_bytes = settings.max_bytes
        self._threads = ThreadPoolExecutor(_THREADS)

    def __call__(self, batch: Batch) -> Batch:
        uris = batch["photo_uri"]
        result: Batch = {
            "photo_uri": uris,
            "photo_bytes": np.full(len(uris), b"", object),
            "status": np.full(len(uris), OK, object),
            "error": np.full(len(uris), "", object),
            "read_ms": np.zeros(len(uris), np.float32),
        }
        for row, (data, error, seconds) in enumerate(self._threads.map(self._attempt, uris)):
            result["photo_bytes"][row] = data
            result["error"][row] = error
            result["status"][row] = UNREADABLE if error else OK
            result["read_ms"][row] = seconds * 1000
        return result

    def _attempt(self, uri: str) -> tuple[bytes, str, float]:
        """Bytes, error ("" when there is none), seconds."""
        start = time.perf_counter()
        try:
            data, error = self._read(uri), ""
        except PhotoError as problem:
            data, error = b"", str(problem)
        except OSError as problem:
            data, error = b"", _describe(problem)
        except ValueError:
            data, error = b"", "the path is not a valid file name"
        return data, error, time.perf_counter() - start

    def _read(self, uri: str) -> bytes:
        path = path_of(uri)
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError("this is a folder, not a photo")
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError("this is not a regular file")
        if status.st_size > self._max_bytes:
            raise PhotoError(
                f"the file has {status.st_size:,} bytes, more than the {self._max_bytes:,} that read.max_bytes allows"
            )
        data = path.read_bytes()
        if not data:
            raise PhotoError("the file is empty")
        return data


def _describe(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    if isinstance(error, PermissionError):
        return "there is no permission to read the file"
    return f"the file cannot be read: {error.strerror or os.strerror(error.errno or 0)}"
