"""Parquet files with pictures in a column: in which column they are, in which rows, and the picture of a row.

Pictures are a column of binary values, or of structs whose field `bytes` has them, as Hugging Face's data sets do.
"""

from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate, pairwise
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.opened_file import OpenedFile
from facerecon_ray.storage.photos.photo_formats import is_picture
from facerecon_ray.storage.photos.photo_lists import LIST_COLUMN

_PREFERRED = "image"
_BYTES = "bytes"
_ROWS_AT_ONCE = 16
_BUFFER = 1 << 20
_ENDING = 8  # the length of the footer, and a signature
_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)


class ImageTable:
    """An opened Parquet file, which it closes; one thread at a time may use it.

    Rows that are asked for in their order are read in one go.

    version  of its contents: files with the same footer have the same pages

    Raises
    ------
    PhotoError
        when it is no Parquet file, or damaged
    """

    def __init__(self, opened: OpenedFile) -> None:
        self._file = opened.file
        try:
            self._parquet = pq.ParquetFile(opened.file, pre_buffer=False, buffer_size=_BUFFER)
        except pa.ArrowException as error:
            raise PhotoError(f"the Parquet file is damaged ({str(error).splitlines()[0]})") from None
        self.version = _digest_of_footer(opened)
        groups = range(self._parquet.num_row_groups)
        self._ends = list(accumulate(self._parquet.metadata.row_group(group).num_rows for group in groups))
        self._group, self._start = -1, 0
        self._batch: pa.Array = pa.array([])
        self._batches: Iterator[pa.RecordBatch] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @cached_property
    def column(self) -> str | None:
        """Path of the column of pictures; None when there is none, or the file is a list of names.

        Raises
        ------
        PhotoError
            when there are several
        """
        found = []
        for field in self._parquet.schema_arrow:
            is_list = field.name.strip().casefold() == LIST_COLUMN
            if is_list and not _is_binary(field.type):
                return None
            path = _path_of_bytes(field)
            if path and self._holds_pictures(path):
                found.append(path)
            elif is_list:
                return None
        preferred = [path for path in found if path.split(".")[0].strip().casefold() == _PREFERRED]
        if len(found) > 1 and len(preferred) != 1:
            names = ", ".join(path.split(".")[0] for path in found)
            raise PhotoError(f"several columns hold pictures ({names}): name the one that is meant {_PREFERRED}")
        return next(iter(preferred or found), None)

    def rows(self) -> Iterator[tuple[int, bool]]:
        """Numbers of all rows, and whether each has a picture."""
        path = self.column
        assert path
        for group, (start, end) in enumerate(pairwise([0, *self._ends])):
            lacking = self._lacking(group, path)
            if lacking in (0, end - start):
                yield from ((row, lacking == 0) for row in range(start, end))
                continue
            for batch in self._read(group, path):
                yield from enumerate(_leaf(batch).is_valid().to_pylist(), start)
                start += len(batch)

    def picture(self, row: int) -> bytes:
        """Contents of the picture of a row.

        Raises
        ------
        PhotoError
            when there is no such row, or it has none, or the file is damaged
        """
        path = self._only_candidate or self.column
        if not path:
            raise PhotoError("the Parquet file has no column of pictures")
        group = int(np.searchsorted(self._ends, row, "right"))
        if group == len(self._ends):
            raise PhotoError(f"the Parquet file has {self._ends[-1] if self._ends else 0:,} rows alone, from 0")
        try:
            if group != self._group or row < self._start:
                self._group, self._start = group, self._ends[group - 1] if group else 0
                self._batch, self._batches = pa.array([]), self._read(group, path)
            while row >= self._start + len(self._batch):
                self._start += len(self._batch)
                self._batch = _leaf(next(self._batches))
            value = self._batch[row - self._start].as_py()
        except (pa.ArrowException, OSError) as error:
            self._group = -1
            raise PhotoError(f"the Parquet file is damaged ({str(error).splitlines()[0]})") from None
        if value is None:
            raise PhotoError("the row has no picture")
        return bytes(value)

    @cached_property
    def _only_candidate(self) -> str | None:
        """The one column that can hold pictures, so that none need be looked at to find it; None if there are more."""
        paths = list(filter(None, map(_path_of_bytes, self._parquet.schema_arrow)))
        return paths[0] if len(paths) == 1 else None

    def _holds_pictures(self, path: str) -> bool:
        """Whether the first value that is not null is a picture."""
        for group in range(self._parquet.num_row_groups):
            if self._lacking(group, path) == self._parquet.metadata.row_group(group).num_rows:
                continue
            for batch in self._read(group, path):
                # Not by drop_null, which knows no binary_view.
                value = next((value for value in _leaf(batch).to_pylist() if value is not None), None)
                if value is not None:
                    return is_picture(value)
        return False

    def _lacking(self, group: int, path: str) -> int | None:
        """Values of a column that are null, None where the file does not say."""
        row_group = self._parquet.metadata.row_group(group)
        columns = (row_group.column(number) for number in range(row_group.num_columns))
        statistics = next(column.statistics for column in columns if column.path_in_schema == path)
        return statistics.null_count if statistics is not None and statistics.has_null_count else None

    def _read(self, group: int, path: str) -> Iterator[pa.RecordBatch]:
        return self._parquet.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=[path], use_threads=False)


def _is_binary(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in _BINARY)


def _path_of_bytes(field: pa.Field) -> str | None:
    """Of a column that may hold pictures, the path of their bytes."""
    if _is_binary(field.type):
        return str(field.name)
    if pa.types.is_struct(field.type):
        inner = field.type.get_field_index(_BYTES)
        return f"{field.name}.{_BYTES}" if inner >= 0 and _is_binary(field.type.field(inner).type) else None
    return None


def _leaf(batch: pa.RecordBatch) -> pa.Array:
    """The bytes in a batch of one column."""
    column = batch.column(0)
    return column.flatten()[0] if pa.types.is_struct(column.type) else column


def _digest_of_footer(opened: OpenedFile) -> str:
    opened.file.seek(opened.size - _ENDING)
    length = int.from_bytes(opened.file.read(4), "little")
    opened.file.seek(opened.size - _ENDING - length)
    return blake2b(opened.file.read(length), digest_size=16).hexdigest()
