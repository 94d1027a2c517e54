"""Collects rows as they arrive and writes the manifest, each shard as a whole."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

import pyarrow as pa

from facerecon_ray.pipeline.shard_packs import ShardPacks
from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.storage.manifest import FAULTS, Manifest
from facerecon_ray.storage.schema import MANIFEST_SCHEMA

POSITION = "position"
"""Column beside those of the manifest: the photo's place in the plan."""

SHARD = "shard"
"""Column on the way through the stages: number of the photo's shard in the plan."""

Recorded = Callable[[int], object]
"""Is told of photos whose rows are in the manifest now; where files go into packs, from another thread."""


@dataclass(frozen=True)
class Arrived:
    """Photos that became complete, and their rows by outcome."""

    photos: int = 0
    faces: int = 0
    failed: int = 0


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

    Parameters
    ----------
    manifest : which is written
    packs : where the files of faces go into packs, which are made while other rows arrive
    """

    def __init__(self, manifest: Manifest, packs: ShardPacks | None = None) -> None:
        self._manifest, self._packs = manifest, packs
        self._closing: dict[int, Future[None]] = {}
        self._open: dict[int, _OpenShard] = {}
        self._shard_of: dict[int, int] = {}

    def expect(self, work: ShardWork) -> None:
        """Announce a shard whose rows will arrive."""
        self._open[work.shard.number] = _OpenShard(work)
        self._shard_of.update(dict.fromkeys(work.places(), work.shard.number))

    def add(self, rows: pa.Table, recorded: Recorded = lambda photos: None) -> Arrived:
        """Take rows in, and write the parts of shards that are complete."""
        self._note_closed()
        arrived: list[pa.Table] = []
        photos = 0
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
                self._close_if_complete(shard, recorded)
        status = [row["status"][0].as_py() for row in arrived]
        return Arrived(photos, status.count("ok"), sum(map(status.count, FAULTS)))

    def settle(self) -> None:
        """Wait for the packs that are being made; how that went is told by the next call of another kind."""
        wait(self._closing.values())

    def unfinished(self) -> list[ShardWork]:
        """What was announced and is not all there, with what is there kept."""
        self.settle()
        self._note_closed()
        return [shard.work.after(shard.rows(), set(shard.complete)) for shard in self._open.values()]

    def begun(self) -> list[int]:
        """Numbers of the shards of which some new photos are complete and not in the manifest."""
        self.settle()
        closed = [number for number, closing in self._closing.items() if closing.exception() is None]
        return [number for number, shard in self._open.items() if shard.complete and number not in closed]

    def flush(self) -> None:
        """Write what is complete of shards that are not."""
        begun = {number: self._open[number].rows() for number in self.begun()}
        if self._packs:
            closing = [self._packs.begin(number, rows) for number, rows in begun.items()]
            for future in closing:
                future.result()
            return
        for number, rows in begun.items():
            self._manifest.write(number, rows)

    def forget(self, numbers: Iterable[int]) -> None:
        """Take back the announcement of shards."""
        for number in numbers:
            for place in self._open.pop(number).work.places():
                del self._shard_of[place]

    def _close_if_complete(self, shard: _OpenShard, recorded: Recorded) -> None:
        """Write the part of a shard when nothing is missing."""
        if len(shard.complete) < len(shard.work.todo):
            return
        number, photos = shard.work.shard.number, len(shard.complete)
        if self._packs:
            self._closing[number] = self._packs.begin(number, shard.rows(), lambda: recorded(photos))
            return
        self._manifest.write(number, shard.rows())
        self.forget([number])
        recorded(photos)

    def _note_closed(self) -> None:
        """Let go of shards whose packs are made; raises what kept one from being made."""
        for number in [number for number, closing in self._closing.items() if closing.done()]:
            self._closing[number].result()
            del self._closing[number]
            self.forget([number])
