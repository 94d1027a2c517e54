"""An S3 object as a file that is read in places, a range at a time."""

import io
from typing import Any

from facerecon_ray.storage.objects import StoredObject
from facerecon_ray.storage.s3_store import S3Store

CHUNK = 1 << 20
"""Bytes that are asked for at a time at least."""

_SMALLEST_PIECE = 1 << 16
_LARGEST_PIECE = 1 << 22
# Bytes that arrive in about the time that one more request takes.
_WORTH_READING = 1 << 18


def open_object(store: S3Store, found: StoredObject) -> io.BufferedReader:
    """An object, to be read; any key that S3 allows may be read.

    Reading raises what `S3Store.read_range` does, `ChangedObjectError` too when it is not the object any more that was
    found.
    """
    return io.BufferedReader(_Ranges(store, found), CHUNK)


def open_scattered(store: S3Store, found: StoredObject) -> io.BufferedReader:
    """The same for who reads little here and there, from the start to the end: of what lies far apart little more is
    asked for than is read, and what lies close together comes in large pieces."""
    return io.BufferedReader(_Pieces(store, found), 512)


class _Ranges(io.RawIOBase):
    def __init__(self, store: S3Store, found: StoredObject) -> None:
        self._store, self._found = store, found
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._found.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _read(self, most: int) -> bytes:
        end = min(self._place + most, self._found.size)
        if end <= self._place:
            return b""
        return self._store.read_range(self._found.name, self._place, end, self._found.etag)


class _Pieces(_Ranges):
    """Holds the piece that was asked for last; pieces grow while each begins soon after the one before it."""

    def __init__(self, store: S3Store, found: StoredObject) -> None:
        super().__init__(store, found)
        self._start, self._piece, self._length = 0, b"", _SMALLEST_PIECE

    def _read(self, most: int) -> bytes:
        end = self._start + len(self._piece)
        if not self._start <= self._place < end:
            is_near = self._piece and 0 <= self._place - end <= _WORTH_READING
            self._length = min(2 * self._length, _LARGEST_PIECE) if is_near else _SMALLEST_PIECE
            self._start, self._piece = self._place, super()._read(self._length)
        skipped = self._place - self._start
        return self._piece[skipped : skipped + most]
