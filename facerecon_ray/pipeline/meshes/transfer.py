"""Meshes on their way from a job's output, or from its rows and photos, to where they are wanted."""

import io
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.config.reconstruct import ChainSettings, ReconstructSettings
from facerecon_ray.errors import FaceReconError, MissingObjectError
from facerecon_ray.pipeline.meshes.making import MADE_OF, begin_worker, make_meshes
from facerecon_ray.pipeline.meshes.request import ExportPlan, ExportRequest
from facerecon_ray.storage.layout import MESHES, mesh_name, photo_key
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import file_columns, read_face_file
from facerecon_ray.storage.photos.known_photos import KnownPhotos

ROWS_AT_ONCE = 16
"""Rows of which a process makes the meshes at a time."""

COLUMNS = [*MADE_OF, *file_columns("mesh")]
"""Columns of the manifest that are needed."""

_COPIES_AT_ONCE = 16
_TASKS_AHEAD = 4
_LIST_SCHEMA = pa.schema([("mesh", pa.string()), ("photo_uri", pa.string()), ("face_index", pa.int32())])
_ROW_GROUP = 1 << 16


@dataclass
class Exported:
    """What came of it.

    there, copied, made    meshes that were there already, and those that are new
    failed                 rows that gave none
    list                   address of the list
    """

    there: int = 0
    copied: int = 0
    made: int = 0
    failed: int = 0
    list: str = ""

    @property
    def meshes(self) -> int:
        """That are there now."""
        return self.there + self.copied + self.made

    @property
    def rows(self) -> int:
        """That were dealt with."""
        return self.meshes + self.failed


class _Row(NamedTuple):
    """A row of a table: its number there, photo, face, where the job's mesh is, and the name of the wanted one."""

    number: int
    photo: str
    face: int
    mesh: Mapping[str, Any]
    name: str


class MeshTransfer:
    """Copies in threads, makes meshes in processes, and keeps the list; to be used as a context.

    Parameters
    ----------
    source, target : output of the job, and where the meshes go
    plan, request : what is wanted
    root : to which the keys of the job's photos are relative
    """

    def __init__(
        self, source: OutputFolder, target: OutputFolder, plan: ExportPlan, request: ExportRequest, root: str
    ) -> None:
        self.counts = Exported()
        self._source, self._target, self._plan, self._root = source, target, plan, root
        settings = ChainSettings(
            face_model=request.face_model,
            s3=request.s3,
            read=plan.read,
            crop=plan.crop,
            reconstruct=ReconstructSettings(device="cpu"),
            export=plan.export,
        )
        self._make = partial(make_meshes, settings, target.uri)
        self._known = KnownPhotos()
        self._pool: ProcessPoolExecutor | None = None
        self._workers = _cpus()
        self._making: deque[tuple[Future[list[str]], list[_Row]]] = deque()
        self._list = _List()

    def __enter__(self) -> "MeshTransfer":
        self._known.add_new(found.name for found in self._target.store.list(f"{MESHES}/"))
        self._threads = ThreadPoolExecutor(_COPIES_AT_ONCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def run(self, parts: Iterator[pa.Table]) -> Iterator[list[str]]:
        """Deal with rows; now and then, lines about those that gave no mesh."""
        for part in parts:
            rows = self._named(part)
            new = set(self._known.add_new(row.name for row in rows))
            there = [row for row in rows if row.name not in new]
            self.counts.there += len(there)
            rest = [row for row in rows if row.name in new]
            copied = list(self._threads.map(self._copy, rest))
            self.counts.copied += sum(copied)
            self._list.add(there + [row for row, is_copied in zip(rest, copied, strict=True) if is_copied])
            rest = [row for row, is_copied in zip(rest, copied, strict=True) if not is_copied]
            lines: list[str] = []
            if rest and self._plan.obstacle:
                lines = self._failed(rest, [f"its mesh is gone, and {self._plan.obstacle}"] * len(rest))
                rest = []
            for start in range(0, len(rest), ROWS_AT_ONCE):
                self._begin(part, rest[start : start + ROWS_AT_ONCE])
                if len(self._making) > _TASKS_AHEAD * self._workers:
                    yield self._end()
            yield lines
        while self._making:
            yield self._end()

    def listed(self) -> bytes:
        """Contents of the list."""
        return self._list.contents()

    def _named(self, part: pa.Table) -> list[_Row]:
        rows = part.select(["photo_uri", "face_index", *file_columns("mesh")]).to_pylist()
        suffix = self._plan.export.format
        return [
            _Row(
                number,
                row["photo_uri"],
                row["face_index"],
                row,
                mesh_name(photo_key(row["photo_uri"], self._root), row["face_index"], suffix),
            )
            for number, row in enumerate(rows)
        ]

    def _copy(self, row: _Row) -> bool:
        """Whether the job has the mesh; then it is there."""
        if not self._plan.copies:
            return False
        try:
            data = read_face_file(self._source.store, row.mesh, "mesh")
        except MissingObjectError:
            return False
        self._target.write(row.name, data)
        return True

    def _begin(self, part: pa.Table, rows: list[_Row]) -> None:
        """Hand rows to a process."""
        table = part.select(MADE_OF).take(pa.array([row.number for row in rows], pa.int64())).combine_chunks()
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._workers, get_context("spawn"), begin_worker)
        self._making.append((self._pool.submit(self._make, table, [row.name for row in rows]), rows))

    def _end(self) -> list[str]:
        """Wait for the rows that were handed over first."""
        future, rows = self._making.popleft()
        try:
            reasons = future.result()
        except BrokenProcessPool:
            raise FaceReconError(
                "a process that made meshes was killed; there may be too little memory; the same command continues"
            ) from None
        made = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
        self.counts.made += len(made)
        self._list.add(made)
        bad = [(row, reason) for row, reason in zip(rows, reasons, strict=True) if reason]
        return self._failed([row for row, _ in bad], [reason for _, reason in bad])

    def _failed(self, rows: list[_Row], reasons: list[str]) -> list[str]:
        self.counts.failed += len(rows)
        return [f"{row.photo}: face {row.face}: {reason}" for row, reason in zip(rows, reasons, strict=True)]


class _List:
    """The list of what was exported, as a Parquet file that grows."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._writer = pq.ParquetWriter(self._file, _LIST_SCHEMA, compression="zstd")
        self._rows: list[tuple[str, str, int]] = []

    def add(self, rows: list[_Row]) -> None:
        self._rows += [(row.name, row.photo, row.face) for row in rows]
        if len(self._rows) >= _ROW_GROUP:
            self._flush()

    def contents(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._file.getvalue()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self._writer.write_table(pa.table(list(map(list, columns)), schema=_LIST_SCHEMA))
            self._rows = []


def _cpus() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
