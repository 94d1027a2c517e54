"""The plan of a job: its photos in a fixed order, cut into shards, in Parquet objects that are only ever added.

A shard is a run of photos whose rows come into the manifest together. The plan makes shards the same in every run,
whatever has happened to the input since.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.errors import OutputError, StorageError
from facerecon_ray.storage.layout import PLAN
from facerecon_ray.storage.objects import ObjectStore
from facerecon_ray.storage.parquet_table import table_of
from facerecon_ray.storage.photos.known_photos import PlannedPhoto, Span

SMALLEST_SHARD = 16
_OBJECT = re.compile(rf"{PLAN}/photos-\d+\.parquet")
# Of the photos before it, so that a lost shard is a small part of the work however large the job is.
_SHARE_OF_A_SHARD = 128

SPAN = pa.struct([("start", pa.int64()), ("size", pa.int64()), ("version", pa.string())])
"""Where in its archive a photo lies, as a column; null for a photo that is a file of its own, or was only named."""

_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("photo_uri", pa.string(), nullable=False),
        pa.field("side_photo_uri", pa.string()),  # plans of earlier versions lack it, and what follows
        pa.field("span", SPAN),
    ]
)


@dataclass(frozen=True)
class Shard:
    """A run of photos.

    number  of the shard, from 0
    first   place of its first photo in the plan, from 0
    photos  URIs
    sides   URIs of their side photos, if they are pairs
    spans   where in their archives they lie, if any do
    """

    number: int
    first: int
    photos: tuple[str, ...]
    sides: tuple[str, ...] = ()
    spans: tuple[Span | None, ...] = ()

    @property
    def planned(self) -> list[PlannedPhoto]:
        """Its photos, with all that is known of them."""
        columns = (self.photos, self.sides or repeat(""), self.spans or repeat(None))
        return [PlannedPhoto(*photo) for photo in zip(*columns, strict=False)]


@dataclass(frozen=True)
class PlanObject:
    """An object of the plan: its name, and its shards' numbers from `shard` on and photos' places from `first` on."""

    name: str
    shard: int
    shards: int
    first: int
    photos: int


class PhotoPlan:
    """Plan in the output of a job; one process at a time may add to it.

    Parameters
    ----------
    store : the output
    largest_shard : photos
    """

    def __init__(self, store: ObjectStore, largest_shard: int) -> None:
        self._store = store
        self._largest = max(SMALLEST_SHARD, largest_shard)
        self._shards = self._photos = 0

    def stored(self) -> Iterator[tuple[PlanObject, list[Shard]]]:
        """What the plan holds already; to be read to its end before photos are added."""
        for found in self._store.list(f"{PLAN}/photos-"):
            if not _OBJECT.fullmatch(found.name):
                continue
            if found.name != self._next_name():
                raise StorageError(
                    f"{self._store.describe(self._next_name())} is missing; use --overwrite or another output"
                )
            table = self._table(found.name)
            part = self._next(found.name, len(table["shard"].unique()), len(table))
            yield part, list(_shards(part, table))

    def next_size(self, places: int) -> int:
        """Photos of the next shard but `places` photos: small at first, then growing with the photos before it."""
        return _size(self._photos + places, self._largest)

    def add(self, photos: Sequence[PlannedPhoto]) -> PlanObject:
        """Add photos as shards; the last shard is shorter where they do not fill it.

        Raises
        ------
        OutputError
            when another run has added to the plan
        """
        sizes = list(shard_sizes(len(photos), self._largest, self._photos))
        numbers = np.repeat(np.arange(len(sizes), dtype=np.int32) + self._shards, sizes)
        name = self._next_name()
        file = io.BytesIO()
        columns = [
            pa.array(numbers),
            pa.array([photo.uri for photo in photos]),
            pa.array([photo.side or None for photo in photos], pa.string()),
            pa.array([photo.span and photo.span._asdict() for photo in photos], SPAN),
        ]
        pq.write_table(pa.table(columns, schema=_SCHEMA), file, compression="zstd")
        if not self._store.write_if_absent(name, file.getvalue()):
            raise OutputError(f"output {self._store.uri}: another run is writing to it; wait until it ends")
        return self._next(name, len(sizes), len(photos))

    def shards(self, part: PlanObject) -> Iterator[Shard]:
        """Shards of one object of the plan."""
        return _shards(part, self._table(part.name))

    def _next_name(self) -> str:
        return f"{PLAN}/photos-{self._shards:08d}.parquet"

    def _next(self, name: str, shards: int, photos: int) -> PlanObject:
        part = PlanObject(name, self._shards, shards, self._photos, photos)
        self._shards += shards
        self._photos += photos
        return part

    def _table(self, name: str) -> pa.Table:
        try:
            return table_of(self._store.read(name), _SCHEMA)
        except pa.ArrowException:
            raise StorageError(f"{self._store.describe(name)} is damaged; use --overwrite or another output") from None


def shard_sizes(photos: int, largest: int, before: int = 0) -> Iterator[int]:
    """Photos of each shard into which some are cut, behind others that the plan has before them."""
    cut = 0
    while cut < photos:
        size = min(_size(before + cut, largest), photos - cut)
        cut += size
        yield size


def _size(before: int, largest: int) -> int:
    return min(largest, max(SMALLEST_SHARD, before // _SHARE_OF_A_SHARD))


def _shards(part: PlanObject, table: pa.Table) -> Iterator[Shard]:
    uris = table["photo_uri"].to_pylist()
    sides = table["side_photo_uri"].to_pylist() if table["side_photo_uri"].null_count < len(uris) else []
    found = table["span"].to_pylist() if table["span"].null_count < len(uris) else []
    spans = [span and Span(**span) for span in found]
    starts = np.flatnonzero(np.diff(table["shard"].to_numpy(), prepend=-1)).tolist()
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(uris)], strict=True)):
        columns = (tuple(column[start:end]) for column in (uris, sides, spans))
        yield Shard(part.shard + number, part.first + start, *columns)
