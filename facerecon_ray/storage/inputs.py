"""Which photos a job reads: a photo, a folder, a glob pattern, or a list in a text, CSV or Parquet file."""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.errors import InputError
from facerecon_ray.storage.layout import is_output_folder
from facerecon_ray.storage.uris import PHOTO_SUFFIXES, path_of, scheme_of, uri_of

LIST_COLUMN = "photo_uri"


@dataclass(frozen=True)
class PhotoList:
    """Photos of a job.

    photos   URIs without duplicates: sorted, or in the order of the list file they come from
    ignored  files in the input that have no photo's suffix
    root     the folder that holds all photos, to which their keys in the output are relative
    """

    photos: list[str]
    ignored: int
    root: str


def list_photos(source: str) -> PhotoList:
    """Find the photos of an input.

    A file that is named directly or by a list is taken whatever its suffix, and need not exist when a list names it.
    Folders are searched recursively for files with a photo's suffix; hidden files, and folders that hold the results
    of an earlier job, are passed over.

    Parameters
    ----------
    source : photo, folder, glob pattern, or a list of photos with the suffix .txt, .csv or .parquet

    Raises
    ------
    InputError
        when the input does not exist, cannot be read, or names no photo
    """
    path = canonical_input(source)
    ignored = 0
    if path.is_dir():
        where, root = f"folder {path}", str(path)
        photos, ignored = _split_by_suffix(_walk(path))
    elif path.exists():
        where, root = f"list {path}", ""
        photos = _read_list(path) if path.suffix.lower() in LIST_READERS else [path]
    elif _has_wildcard(path):
        where, root = f"pattern {path}", ""
        photos, ignored = _split_by_suffix(_expand(path))
    else:
        raise InputError(f"input {path}: no such file or folder")
    if not photos:
        passed_over = f"; {ignored} other files were passed over" if ignored else ""
        raise InputError(f"{where}: no photo found{passed_over}. Photos end in {', '.join(sorted(PHOTO_SUFFIXES))}")
    root = root or os.path.commonpath([photo.parent for photo in photos])
    return PhotoList([uri_of(photo) for photo in dict.fromkeys(photos)], ignored, root)


def canonical_input(source: str) -> Path:
    """Absolute path or pattern of an input, so that the same input has the same name from every folder."""
    if not source.strip():
        raise InputError("the input is empty: name a photo, a folder, a pattern or a list of photos")
    return _absolute(source, Path.cwd(), "input")


def _absolute(entry: str, base: Path, where: str) -> Path:
    """Absolute path with links resolved in its folder but not in its last name, which people recognise."""
    scheme = scheme_of(entry)
    if scheme not in (None, "file"):
        raise InputError(f"{where} {entry}: {scheme}:// is not supported; name local files")
    path = base / path_of(entry).expanduser()
    return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name


def _walk(folder: Path) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(f"folder {error.filename}: {error.strerror}; its photos cannot be listed") from None

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [
            name for name in folders if not name.startswith(".") and not is_output_folder(Path(parent, name))
        ]
        yield from (Path(parent, name) for name in names)


def _expand(pattern: Path) -> Iterable[Path]:
    """Files that match, and the files below folders that match; hidden folders and results only if named."""
    base = next(folder for folder in pattern.parents if not _has_wildcard(folder))
    is_result = cache(is_output_folder)
    for match in base.glob(str(pattern.relative_to(base))):
        below = match.relative_to(base)
        if any(name.startswith(".") for name in below.parts) or any(is_result(base / up) for up in below.parents[:-1]):
            continue
        if not match.is_dir():
            yield match
        elif not is_result(match):
            yield from _walk(match)


def _has_wildcard(path: Path) -> bool:
    return any(character in str(path) for character in "*?[")


def _split_by_suffix(files: Iterable[Path]) -> tuple[list[Path], int]:
    """Sorted photos, and the number of other files."""
    found = sorted(set(files))
    photos = [file for file in found if file.suffix.lower() in PHOTO_SUFFIXES and not file.name.startswith(".")]
    return photos, len(found) - len(photos)


def _read_list(path: Path) -> list[Path]:
    try:
        entries = LIST_READERS[path.suffix.lower()](path)
    except (OSError, csv.Error, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise InputError(f"list {path}: cannot be read ({reason})") from None
    return [_absolute(entry, path.parent, f"list {path}:") for entry in entries if entry]


def _read_text(path: Path) -> list[str]:
    lines = path.read_text("utf-8-sig", errors="surrogateescape").split("\n")
    return [line.strip() for line in lines if not line.startswith("#")]


def _read_csv(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if not header or Path(header[0]).suffix.lower() in PHOTO_SUFFIXES:
        raise InputError(f"list {path}: no header line; name the column of the photos {LIST_COLUMN}")
    column = header.index(LIST_COLUMN) if LIST_COLUMN in header else 0
    return [row[column].strip() for row in rows if len(row) > column]


def _read_parquet(path: Path) -> list[str]:
    names = pq.read_schema(path).names
    name = LIST_COLUMN if LIST_COLUMN in names else next(iter(names), None)
    column = pq.read_table(path, columns=[name])[name] if name else pa.chunked_array([], pa.null())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(f"list {path}: no text column {LIST_COLUMN}, and its first column holds no text")
    entries: list[str] = column.drop_null().to_pylist()
    return entries


LIST_READERS = {".txt": _read_text, ".csv": _read_csv, ".parquet": _read_parquet}
