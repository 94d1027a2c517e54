"""Lists of photos, and of pairs of photos, in text, CSV and Parquet files, read a few entries at a time."""

import codecs
import csv
import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.errors import InputError
from facerecon_ray.storage.uris import is_archive_name, is_clip_name, is_photo_name, is_table_name, split_fragment

LIST_COLUMN = "photo_uri"
PAIR_COLUMNS = ("front", "side")
PERSON_COLUMNS = ("photo", "person")
SEPARATORS = ",;\t|"

_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Encodings by the bytes that a text begins with, longer ones first where one begins with another."""


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
        when it cannot be read as such a list, or may be read in more than one way
    """
    entries = _READERS[PurePosixPath(where).suffix.lower()]
    yield from filter(None, _read(where, open_file, entries))


def read_pair_list(where: str, open_file: Callable[[], BinaryIO]) -> Iterator[tuple[str, str]]:
    """Pairs of a list of pairs, front and side photo of each.

    Parameters
    ----------
    where : path or URI of the list
    open_file : opens its contents

    Raises
    ------
    InputError
        when it cannot be read as a CSV with the columns front and side alone, or a row of it lacks one
    """
    if PurePosixPath(where).suffix.lower() != ".csv":
        raise InputError(f"list {where}: a list of pairs is a .csv file with the columns front and side")
    return _read(where, open_file, partial(_two_columns, PAIR_COLUMNS, "pairs"))


def read_person_list(where: str, open_file: Callable[[], BinaryIO]) -> Iterator[tuple[str, str]]:
    """Photos of a list of people, and whom each shows.

    Parameters
    ----------
    where : path of the list
    open_file : opens its contents

    Raises
    ------
    InputError
        when it cannot be read as a CSV with the columns photo and person alone, or a row of it lacks one
    """
    return _read(where, open_file, partial(_two_columns, PERSON_COLUMNS, "people"))


def read_names(where: str, open_file: Callable[[], BinaryIO]) -> Iterator[str]:
    """Every photo that a list of photos, pairs or people names; arguments and errors as those of `read_list`."""
    with open_file() as file:
        header = next(_lines(where, file), "") if PurePosixPath(where).suffix.lower() == ".csv" else ""
    if _names_columns(header, PAIR_COLUMNS):
        return chain.from_iterable(read_pair_list(where, open_file))
    if _names_columns(header, PERSON_COLUMNS):
        return (photo for photo, _ in read_person_list(where, open_file))
    return read_list(where, open_file)


def _names_columns(line: str, columns: tuple[str, str]) -> bool:
    """Whether a header names just these columns."""
    rows = (next(csv.reader([line], delimiter=separator), []) for separator in SEPARATORS)
    return any(sorted(map(_plain, row)) == sorted(columns) for row in rows)


Entry = TypeVar("Entry")


def _read(
    where: str, open_file: Callable[[], BinaryIO], entries: Callable[[str, BinaryIO], Iterator[Entry]]
) -> Iterator[Entry]:
    try:
        with open_file() as file:
            yield from entries(where, file)
    except (OSError, UnicodeError, csv.Error, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise InputError(f"list {where}: cannot be read ({reason})") from None


def _text(where: str, file: BinaryIO) -> Iterator[str]:
    yield from (line.strip() for line in _lines(where, file))


def _csv(where: str, file: BinaryIO) -> Iterator[str]:
    lines = _lines(where, file)
    first = next(lines, "")
    if _names_columns(first, PAIR_COLUMNS):
        raise InputError(f"list {where}: it is a list of pairs; name it with --pairs, or set pairs to true")
    header, separator = _header(where, first, (LIST_COLUMN,), f"the column of the photos {LIST_COLUMN}")
    column = _column(where, header)
    for _, row in _rows(where, lines, len(header), separator, column + 1):
        yield row[column].strip()


def _two_columns(wanted: tuple[str, str], kind: str, where: str, file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Rows of a list of pairs or people, in the order of the columns that are wanted."""
    lines = _lines(where, file)
    both = " and ".join(wanted)
    header, separator = _header(where, next(lines, ""), wanted, f"the two columns {both}")
    names = [_plain(name) for name in header]
    if sorted(names) != sorted(wanted):
        lacking = next((f"no column is named {name}" for name in wanted if name not in names), "too many columns")
        raise InputError(f"list {where}: {lacking} (there are {', '.join(header)}); a list of {kind} has two, {both}")
    columns = [names.index(name) for name in wanted]
    for number, row in _rows(where, lines, len(header), separator, len(header)):
        cells = [row[column].strip() for column in columns]
        for name, cell in zip(wanted, cells, strict=True):
            if not cell:
                raise InputError(f"list {where}: row {number} names no {name}{' photo' if kind == 'pairs' else ''}")
        yield cells[0], cells[1]


def _rows(where: str, lines: Iterator[str], width: int, separator: str, least: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV that are not empty, with their numbers; those with fewer cells or more than `width` are errors."""
    for number, row in enumerate(csv.reader(lines, delimiter=separator), 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < least or any(row[width:]):
            raise InputError(
                f"list {where}: row {number} has {len(row)} cells, its header {width}; "
                f"put names that contain {separator!r} in quotes"
            )
        yield number, row


def _parquet(where: str, file: BinaryIO) -> Iterator[str]:
    table = pq.ParquetFile(file)
    names = table.schema_arrow.names
    column = _column(where, names, ", and none holds pictures")
    kind = table.schema_arrow.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not any(is_kind(kind) for is_kind in _TEXT):
        raise InputError(f"list {where}: its column {names[column]} holds {kind}, no text")
    for batch in table.iter_batches(columns=[names[column]]):
        # Not by drop_null, which knows no string_view.
        yield from (os.fsdecode(entry) for entry in batch.column(0).to_pylist() if entry is not None)


_TEXT = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)


def _lines(where: str, file: BinaryIO) -> Iterator[str]:
    """Lines of a text as it says itself that it is encoded, else as UTF-8; other bytes in names stay what they are."""
    start = file.read(len(codecs.BOM_UTF32_LE))
    file.seek(0)
    encoding = next((name for mark, name in _ENCODINGS.items() if start.startswith(mark)), "utf-8")
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    for line in io.TextIOWrapper(file, encoding, errors=errors):
        if "\0" in line:
            raise InputError(f"list {where}: it is no text in UTF-8; save it in that encoding")
        yield line


def _header(where: str, line: str, wanted: tuple[str, ...], advice: str) -> tuple[list[str], str]:
    """Names of a CSV's columns, and what stands between them: what makes one of them a column that is wanted."""
    rows = {separator: next(csv.reader([line], delimiter=separator), []) for separator in SEPARATORS}
    separator = next((mark for mark, row in rows.items() if not set(wanted).isdisjoint(map(_plain, row))), None)
    separator = separator or max(SEPARATORS, key=lambda mark: len(rows[mark]))
    header = rows[separator]
    if not header or any(map(_names_file, header)):
        raise InputError(f"list {where}: no header line; name {advice}")
    return header, separator


def _names_file(cell: str) -> bool:
    name, _ = split_fragment(cell.strip())
    return "/" in name or is_photo_name(name) or is_clip_name(name) or is_archive_name(name) or is_table_name(name)


def _column(where: str, names: list[str], beside: str = "") -> int:
    """Number of the column of the photos: the one of that name, or the only one there is."""
    found = [number for number, name in enumerate(names) if _plain(name) == LIST_COLUMN]
    if len(found) == 1 or len(names) == 1:
        return found[0] if found else 0
    problem = f"{len(found)} columns are named {LIST_COLUMN}" if found else f"no column is named {LIST_COLUMN}"
    raise InputError(f"list {where}: {problem} (there are {', '.join(names) or 'none'}){beside}; name one so")


def _plain(name: str) -> str:
    return name.strip().casefold()


_READERS: dict[str, Callable[[str, BinaryIO], Iterator[str]]] = {".txt": _text, ".csv": _csv, ".parquet": _parquet}
