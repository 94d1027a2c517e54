"""Lists of photos in text, CSV and Parquet files, read a few entries at a time."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.errors import InputError
from facerecon_ray.storage.uris import is_photo_name

LIST_COLUMN = "photo_uri"


def is_list(name: str) -> bool:
    """Whether a file of that name is a list of photos."""
    return PurePosixPath(name).suffix.lower() in _READERS


def read_list(where: str, open_file: Callable[[], BinaryIO]) -> Iterator[str]:
    """Entries of a list, without empty ones.

    Parameters
    ----------
    where : path or URI of the list, whose suffix says what it is
    open_file : opens its contents

    Raises
    ------
    InputError
        when it cannot be read as such a list
    """
    entries = _READERS[PurePosixPath(where).suffix.lower()]
    try:
        with open_file() as file:
            yield from filter(None, entries(where, file))
    except (OSError, csv.Error, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise InputError(f"list {where}: cannot be read ({reason})") from None


def _text(_: str, file: BinaryIO) -> Iterator[str]:
    lines = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="\n")
    yield from (line.strip() for line in lines if not line.startswith("#"))


def _csv(where: str, file: BinaryIO) -> Iterator[str]:
    rows = csv.reader(io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline=""))
    header = next(rows, [])
    if not header or is_photo_name(header[0]):
        raise InputError(f"list {where}: no header line; name the column of the photos {LIST_COLUMN}")
    column = header.index(LIST_COLUMN) if LIST_COLUMN in header else 0
    yield from (row[column].strip() for row in rows if len(row) > column)


def _parquet(where: str, file: BinaryIO) -> Iterator[str]:
    table = pq.ParquetFile(file)
    names = table.schema_arrow.names
    name = LIST_COLUMN if LIST_COLUMN in names else next(iter(names), None)
    kind = table.schema_arrow.field(name).type if name else pa.null()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise InputError(f"list {where}: no text column {LIST_COLUMN}, and its first column holds no text")
    for batch in table.iter_batches(columns=[name]):
        yield from batch.column(0).drop_null().to_pylist()


_READERS: dict[str, Callable[[str, BinaryIO], Iterator[str]]] = {".txt": _text, ".csv": _csv, ".parquet": _parquet}
