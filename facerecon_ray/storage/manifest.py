"""The manifest: a Parquet part for each shard of the plan, whole or not there."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facerecon_ray.errors import OutputError
from facerecon_ray.storage.layout import MANIFEST
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.parquet_table import table_of
from facerecon_ray.storage.schema import MANIFEST_SCHEMA, TIMED_STAGES

FAULTS = ("failed", "unreadable")
"""Statuses of rows that another attempt might change."""

FORGOTTEN = "forgotten"
"""Status of rows that say no more than which photo and face they were."""

_PART = re.compile(rf"{MANIFEST}/part-(\d+)\.parquet")
_THREADS = 8
_READ_AHEAD = 32


@dataclass(frozen=True)
class Totals:
    """What a manifest holds.

    photos            photos with at least one row
    rows              rows by status
    stage_seconds     sum of the stages' times over all rows
    first_errors      (status, photo_uri, error) of the first rows that are not ok or without a face
    """

    photos: int
    rows: dict[str, int]
    stage_seconds: dict[str, float]
    first_errors: list[tuple[str, str, str]]

    @property
    def fruitless(self) -> bool:
        """Whether there are rows, and every one of them failed."""
        return bool(self.rows) and self.rows.keys() <= set(FAULTS)


class Manifest:
    """Parts of the manifest in an output."""

    def __init__(self, output: OutputFolder) -> None:
        self._output = output

    def parts(self) -> list[str]:
        """Names of the parts, in the order of their shards."""
        return sorted(self._listed())

    def shards(self) -> list[int]:
        """Numbers of the shards that have a part; one without a byte is none, and its shard is to be done again."""
        return sorted(shard for shard, size in self._listed().values() if size)

    def shard_of(self, name: str) -> int:
        """Number of the shard of a part."""
        match = _PART.fullmatch(name)
        assert match is not None
        return int(match[1])

    def write(self, shard: int, rows: pa.Table) -> None:
        """Write the part of a shard, in place of an earlier one."""
        buffer = pa.BufferOutputStream()
        pq.write_table(rows.cast(MANIFEST_SCHEMA), buffer, compression="zstd")
        self._output.write(part_name(shard), buffer.getvalue().to_pybytes())

    def read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Columns of a part.

        Raises
        ------
        OutputError
            when it is damaged
        """
        try:
            # By the schema: parts of earlier versions lack newer columns, which are null then.
            return table_of(self._output.store.read(name), MANIFEST_SCHEMA, columns)
        except (OSError, pa.ArrowException) as error:
            reason, where = str(error).splitlines()[0], self._output.store.describe(name)
            raise OutputError(
                f"manifest part {where} cannot be read ({reason}); delete it, and the same command makes it again"
            ) from None

    def tables(self, columns: list[str] | None = None, parts: Iterable[str] | None = None) -> Iterator[pa.Table]:
        """Columns of all parts or some, in their order, a few of them read ahead."""
        names = iter(self.parts() if parts is None else parts)
        with ThreadPoolExecutor(_THREADS) as threads:
            while some := list(islice(names, _READ_AHEAD)):
                yield from threads.map(lambda name: self.read(name, columns), some)

    def _listed(self) -> dict[str, tuple[int, int]]:
        """Shards and bytes of the parts by name; other files beside them are passed over."""
        listed = self._output.store.list(f"{MANIFEST}/part-")
        return {found.name: (int(match[1]), found.size) for found in listed if (match := _PART.fullmatch(found.name))}

    def totals(self, errors: int = 3) -> Totals:
        """Counts over all parts, and the first few errors."""
        photos = 0
        rows: Counter[str] = Counter()
        seconds = dict.fromkeys(TIMED_STAGES, 0.0)
        first_errors: list[tuple[str, str, str]] = []
        for table in self.tables(["photo_uri", "status", "error", "timings"]):
            photos += pc.count_distinct(table["photo_uri"]).as_py()
            rows.update(table["status"].to_pylist())
            timings = table["timings"].combine_chunks()
            for stage in TIMED_STAGES:
                seconds[stage] += (pc.sum(timings.field(stage)).as_py() or 0.0) / 1000
            bad = table.filter(pc.is_in(table["status"], pa.array(FAULTS)))
            bad = bad.slice(0, errors - len(first_errors)).to_pylist()
            first_errors += [(row["status"], row["photo_uri"], row["error"] or "") for row in bad]
        stage_seconds = {stage: round(seconds[stage], 3) for stage in TIMED_STAGES if seconds[stage]}
        return Totals(photos, dict(rows), stage_seconds, first_errors)


def part_name(shard: int) -> str:
    """Name of the part of a shard in the output."""
    return f"{MANIFEST}/part-{shard:08d}.parquet"
