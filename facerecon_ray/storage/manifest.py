"""The manifest on disk: Parquet parts that are only ever added, each whole or not there."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from facerecon_ray.errors import OutputError
from facerecon_ray.storage.layout import MANIFEST
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.schema import MANIFEST_SCHEMA, TIMED_STAGES


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


class Manifest:
    """Parts of the manifest in an output folder."""

    def __init__(self, output: OutputFolder) -> None:
        self._output = output
        self._folder = output.path / MANIFEST

    def parts(self) -> list[Path]:
        """Parts in the order in which they were written."""
        return sorted(self._folder.glob("part-*.parquet"))

    def photos(self) -> set[str]:
        """URIs of the photos that are done: a photo's rows are always written together."""
        uris: set[str] = set()
        for part in self.parts():
            uris.update(self._read(part, ["photo_uri"])["photo_uri"].to_pylist())
        return uris

    def append(self, rows: pa.Table) -> None:
        """Add a part."""
        last = self.parts()[-1:]
        number = int(last[0].stem.removeprefix("part-")) + 1 if last else 0
        buffer = pa.BufferOutputStream()
        pq.write_table(rows.cast(MANIFEST_SCHEMA), buffer, compression="zstd")
        self._output.write(f"{MANIFEST}/part-{number:06d}.parquet", buffer.getvalue().to_pybytes())

    def totals(self, errors: int = 3) -> Totals:
        """Counts over all parts, and the first few errors."""
        photos: set[str] = set()
        rows: Counter[str] = Counter()
        seconds = dict.fromkeys(TIMED_STAGES, 0.0)
        first_errors: list[tuple[str, str, str]] = []
        for part in self.parts():
            table = self._read(part, ["photo_uri", "status", "error", "timings"])
            photos.update(table["photo_uri"].to_pylist())
            rows.update(table["status"].to_pylist())
            timings = table["timings"].combine_chunks()
            for stage in TIMED_STAGES:
                seconds[stage] += (pc.sum(timings.field(stage)).as_py() or 0.0) / 1000
            bad = table.filter(pc.is_in(table["status"], pa.array(["unreadable", "failed"])))
            bad = bad.slice(0, errors - len(first_errors)).to_pylist()
            first_errors += [(row["status"], row["photo_uri"], row["error"] or "") for row in bad]
        stage_seconds = {stage: round(seconds[stage], 3) for stage in TIMED_STAGES if seconds[stage]}
        return Totals(len(photos), dict(rows), stage_seconds, first_errors)

    def _read(self, part: Path, columns: list[str]) -> pa.Table:
        try:
            return pq.read_table(part, columns=columns)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise OutputError(f"manifest part {part} cannot be read ({reason}); use --overwrite") from None
