"""Rows of manifests into a file of the user's, a part at a time."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from facerecon_ray.storage.row_filter import flatten
from facerecon_ray.whole_file import whole_file


def write_csv(tables: Iterable[pa.Table], path: Path) -> int:
    """Write rows as CSV with a header line, without the columns that hold lists; how many.

    Raises
    ------
    OutputError
        when the file cannot be written
    """
    return _write(map(flatten, tables), path, lambda file, schema: pa.csv.CSVWriter(file, schema))


def write_parquet(tables: Iterable[pa.Table], path: Path) -> int:
    """Write rows as one Parquet file; how many.

    Raises
    ------
    OutputError
        when the file cannot be written
    """
    return _write(tables, path, lambda file, schema: pq.ParquetWriter(file, schema, compression="zstd"))


def _write(tables: Iterable[pa.Table], path: Path, open_writer: Callable[[BinaryIO, pa.Schema], Any]) -> int:
    rows, writer = 0, None
    with whole_file(path) as file:
        for table in tables:
            writer = writer or open_writer(file, table.schema)
            writer.write_table(table)
            rows += len(table)
        if writer:
            writer.close()
    return rows
