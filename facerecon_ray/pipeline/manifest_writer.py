"""Collects rows as they arrive and writes the manifest, each shard as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.storage.manifest import FAULTS, Manifest
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

POSITION = "position"
"""Column beside those of the manifest: the photo's place in the plan."""


@dataclass(frozen=True)
class Arrived:
    """Photos that became complete, their rows by outcome, and photos whose rows are in the manifest now."""

    photos: int = 0
    faces: int = 0
    failed: int = 0
    recorded: int = 0


@dataclass
class _OpenShard:
    work: ShardWork
    incomplete: dict[int, dict[int | None, pa.Table]] = field(default_factory=dict)
    complete: dict[int, list[pa.Table]] = field(default_factory=dict)

    def rows(self) -> pa.Table:
        """Rows of complete photos and those kept from an earlier run, in the order of the plan."""
        photos = self.work.shard.photos
        done = {uri: [] for uri in photos} | {
            photos[place - self.work.shard.first]: rows for place, rows in self.complete.items()
        }
        kept = self.work.kept
        if kept is not None:
            for number, uri in enumerate(kept["photo_uri"].to_pylist()):
                done[uri].append(kept.slice(number, 1))
        tables = [table for uri in photos for table in done[uri]]
        return pa.concat_tables([MANIFEST_SCHEMA.empty_table(), *tables]).combine_chunks()


class ManifestWriter:
    """Writes the part of a shard when all of its photos are there.

    The faces of a photo arrive in any order, in different batches, and after a fault perhaps twice.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._open: dict[int, _OpenShard] = {}
        self._shard_of: dict[int, int] = {}

    def expect(self, work: ShardWork) -> None:
        """Announce a shard whose rows will arrive."""
        self._open[work.shard.number] = _OpenShard(work)
        self._shard_of.update(dict.fromkeys(work.places(), work.shard.number))

    def add(self, rows: pa.Table) -> Arrived:
        """Take rows in, and write the parts of shards that are complete."""
        arrived: list[pa.Table] = []
        photos = recorded = 0
        columns = (rows[name].to_pylist() for name in (POSITION, "face_count", "face_index"))
        tables = rows.select(MANIFEST_SCHEMA.names)
        for row, (place, face_count, face_index) in enumerate(zip(*columns, strict=True)):
            shard = self._open.get(self._shard_of.get(place, -1))
            if shard is None or place in shard.complete:
                continue
            faces = shard.incomplete.setdefault(place, {})
            faces[face_index] = tables.slice(row, 1)
            if len(faces) >= max(face_count, 1):
                shard.complete[place] = [faces[index] for index in sorted(faces, key=lambda index: index or 0)]
                arrived += shard.complete[place]
                photos += 1
                del shard.incomplete[place]
                recorded += self._close_if_complete(shard)
        status = [row["status"][0].as_py() for row in arrived]
        return Arrived(photos, status.count("ok"), sum(map(status.count, FAULTS)), recorded)

    def unfinished(self) -> list[ShardWork]:
        """What was announced and is not all there, with what is there kept."""
        return [shard.work.after(shard.rows(), set(shard.complete)) for shard in self._open.values()]

    def begun(self) -> list[int]:
        """Numbers of the shards of which some new photos are complete, but not all."""
        return [number for number, shard in self._open.items() if shard.complete]

    def flush(self) -> None:
        """Write what is complete of shards that are not."""
        for number in self.begun():
            self._manifest.write(number, self._open[number].rows())

    def forget(self, numbers: Iterable[int]) -> None:
        """Take back the announcement of shards."""
        for number in numbers:
            for place in self._open.pop(number).work.places():
                del self._shard_of[place]

    def _close_if_complete(self, shard: _OpenShard) -> int:
        """Photos of a shard that is written now, 0 when some are missing still."""
        if len(shard.complete) < len(shard.work.todo):
            return 0
        self._manifest.write(shard.work.shard.number, shard.rows())
        self.forget([shard.work.shard.number])
        return len(shard.complete)
