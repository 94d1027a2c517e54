"""Collects rows as they arrive and adds them to the manifest, each photo as a whole."""

import time
from dataclasses import dataclass

import pyarrow as pa

from facerecon_ray.storage.manifest import Manifest

_SECONDS = 5.0
_ROWS = 2000


@dataclass(frozen=True)
class Arrived:
    """Photos that became complete, and their rows by outcome."""

    photos: int
    faces: int
    failed: int


class ManifestWriter:
    """Writes a part every few seconds or few thousand rows.

    The faces of a photo arrive in any order and in different batches. A photo in the manifest counts as done when the
    job is continued, so its rows are held back until the last one is there.

    Parameters
    ----------
    manifest : where the parts go
    done : photos that are in the manifest already; more rows of theirs are dropped
    seconds, rows : a part is written when it is that old or that long
    """

    def __init__(self, manifest: Manifest, done: set[str], seconds: float = _SECONDS, rows: int = _ROWS) -> None:
        self._manifest = manifest
        self._done = done
        self._seconds, self._rows = seconds, rows
        self._incomplete: dict[str, dict[int | None, pa.Table]] = {}
        self._complete: list[pa.Table] = []
        self._last_part = time.monotonic()

    def add(self, rows: pa.Table) -> Arrived:
        """Take rows in, and write a part when it is time."""
        arrived: list[pa.Table] = []
        photos = 0
        for row, (uri, face_count, face_index) in enumerate(
            zip(*(rows[name].to_pylist() for name in ("photo_uri", "face_count", "face_index")), strict=True)
        ):
            if uri in self._done:
                continue
            faces = self._incomplete.setdefault(uri, {})
            faces[face_index] = rows.slice(row, 1)
            if len(faces) >= max(face_count, 1):
                arrived += self._incomplete.pop(uri).values()
                self._done.add(uri)
                photos += 1
        self._complete += arrived
        is_due = time.monotonic() - self._last_part >= self._seconds
        if self._complete and (is_due or len(self._complete) >= self._rows):
            self.flush()
        status = [row["status"][0].as_py() for row in arrived]
        return Arrived(photos, status.count("ok"), status.count("failed") + status.count("unreadable"))

    def flush(self) -> None:
        """Write what is complete."""
        if self._complete:
            self._manifest.append(pa.concat_tables(self._complete).combine_chunks())
        self._complete = []
        self._last_part = time.monotonic()
