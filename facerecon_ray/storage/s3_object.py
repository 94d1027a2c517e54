"""An S3 object as a file that is read in places, a range at a time."""

import io
from typing import Any

from facerecon_ray.storage.s3_store import S3Store

CHUNK = 1 << 20
"""Bytes that are asked for at a time at least."""


def open_object(store: S3Store, name: str) -> io.BufferedReader:
    """An object, to be read; any key that S3 allows may be read. Reading raises what `ObjectStore.read` does.

    Raises
    ------
    MissingObjectError
        when there is none of that name
    """
    return io.BufferedReader(_Ranges(store, name, store.size(name)), CHUNK)


class _Ranges(io.RawIOBase):
    def __init__(self, store: S3Store, name: str, size: int) -> None:
        self._store, self._name, self._size = store, name, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        end = min(self._place + len(buffer), self._size)
        if end <= self._place:
            return 0
        data = self._store.read_range(self._name, self._place, end)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)
