"""Which photos a job reads: a photo, a folder, a glob pattern, or a list, on a disk or in an S3 bucket."""

import io
import os
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError
from facerecon_ray.storage.layout import PREVIEWS, RUN_RECORD, is_output_folder
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.patterns import Pattern, has_wildcard
from facerecon_ray.storage.photos.photo_lists import is_list, read_list
from facerecon_ray.storage.uris import PHOTO_SUFFIXES, is_photo_name, is_s3, path_of, scheme_of, split_s3_uri, uri_of

Found = Iterator[str | None]
"""URIs of photos, and None for each other file."""


class PhotoListing:
    """Photos of an input, found while they are asked for, once.

    root     folder or s3:// prefix that holds all of them, to which their keys in the output are relative
    ignored  files that were passed over so far because they have no photo's suffix
    """

    def __init__(self, where: str, root: str, found: Found) -> None:
        self.root = root
        self.ignored = 0
        self._where = where
        self._photos = self._count(found)

    def __iter__(self) -> Iterator[str]:
        """URIs in a fixed order; those of a list may come twice.

        Raises
        ------
        InputError
            when a folder or a list cannot be read
        """
        return self._photos

    def require_one(self) -> None:
        """Find the first photo.

        Raises
        ------
        InputError
            when there is none
        """
        first = next(self._photos, None)
        if first is None:
            passed_over = f" (other files passed over: {self.ignored})" if self.ignored else ""
            kinds = ", ".join(sorted(PHOTO_SUFFIXES))
            raise InputError(f"{self._where}: no photo found{passed_over}. Photos end in {kinds}")
        self._photos = chain([first], self._photos)

    def _count(self, found: Found) -> Iterator[str]:
        for photo in found:
            if photo is None:
                self.ignored += 1
            else:
                yield photo


def list_photos(source: str, settings: S3Settings | None = None, output: str = "") -> PhotoListing:
    """Find the photos of an input.

    A file that is named directly or by a list is taken whatever its suffix, and need not exist when a list names it.
    Folders are searched recursively for files with a photo's suffix; hidden files, and folders that hold the results
    of an earlier job, are passed over.

    Parameters
    ----------
    source : photo, folder, glob pattern, or a list of photos with the suffix .txt, .csv or .parquet; a path or s3://
    settings : how S3 is reached
    output : where results go; nothing in there is a photo

    Raises
    ------
    InputError, StorageError
        when the input does not exist or cannot be read
    """
    where = canonical_input(source)
    settings = settings or S3Settings()
    return _in_bucket(where, settings, output) if is_s3(where) else _on_disk(Path(where), settings, output)


def canonical_input(source: str) -> str:
    """Absolute path, pattern or s3:// URI of an input, so that the same input has the same name from every folder."""
    if not source.strip():
        raise InputError("the input is empty: name a photo, a folder, a pattern or a list of photos")
    if is_s3(source):
        bucket, key = split_s3_uri(source)
        return f"s3://{bucket}/{key.rstrip('/')}".rstrip("/")
    return str(_absolute(source, Path.cwd(), "input"))


def _on_disk(path: Path, settings: S3Settings, output: str) -> PhotoListing:
    if path.is_dir():
        return PhotoListing(f"folder {path}", str(path), _walk(path, path, Pattern(), output))
    if path.exists():
        if not is_list(path.name):
            return PhotoListing(f"photo {path}", str(path.parent), iter([uri_of(path)]))
        return _listed(str(path), lambda: path.open("rb"), lambda entry: _entry(entry, path))
    if not has_wildcard(str(path)):
        raise InputError(f"input {path}: no such file or folder")
    above, pattern = Pattern.split(str(path))
    base = Path(above or "/")
    found = _walk(base, base, pattern, output) if base.is_dir() else iter(())
    return PhotoListing(f"pattern {path}", str(base), found)


def _in_bucket(uri: str, settings: S3Settings, output: str) -> PhotoListing:
    bucket, key = split_s3_uri(uri)
    store = open_store(f"s3://{bucket}", settings)
    if key and store.exists(key):
        above = uri.rpartition("/")[0]
        if not is_list(key):
            return PhotoListing(f"photo {uri}", above, iter([uri]))

        def entry_in_bucket(entry: str) -> str:
            return entry if scheme_of(entry) or entry.startswith("/") else f"{above}/{entry}"

        return _listed(uri, lambda: io.BytesIO(store.read(key)), entry_in_bucket)
    if has_wildcard(key):
        base, pattern = Pattern.split(key)
        found = _search(bucket, base, pattern, settings, output)
        return PhotoListing(f"pattern {uri}", f"s3://{bucket}/{base}".rstrip("/"), found)
    return PhotoListing(f"prefix {uri}/", uri, _search(bucket, key, Pattern(), settings, output))


def _listed(where: str, open_file: Callable[[], BinaryIO], locate: Callable[[str], str]) -> PhotoListing:
    """A list is read twice, first for the folder that all its photos have in common and for mistakes in it."""

    def photos() -> Iterator[str]:
        return map(locate, read_list(where, open_file))

    common: list[str] | None = None
    for photo in photos():
        folders = (photo if is_s3(photo) else str(path_of(photo))).split("/")[:-1]
        if common is None:
            common = folders
        elif folders[: len(common)] != common:
            same = (number for number, pair in enumerate(zip(common, folders, strict=False)) if pair[0] != pair[1])
            common = common[: next(same, min(len(common), len(folders)))]
    return PhotoListing(f"list {where}", "/".join(common or []) or "/", photos())


def _entry(entry: str, listing: Path) -> str:
    """URI of a photo in a list on a disk."""
    if is_s3(entry):
        split_s3_uri(entry)
        return entry
    return uri_of(_absolute(entry, listing.parent, f"list {listing}:"))


def _absolute(entry: str, base: Path, where: str) -> Path:
    """Absolute path with links resolved in its folder but not in its last name, which people recognise."""
    scheme = scheme_of(entry)
    if scheme not in (None, "file"):
        raise InputError(f"{where} {entry}: {scheme}:// is not supported; name local files or s3://bucket/key")
    path = base / path_of(entry).expanduser()
    return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name


def _walk(folder: Path, base: Path, pattern: Pattern, output: str) -> Found:
    """Files below a folder that match, files and subfolders in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"folder {folder}: {error.strerror}; its photos cannot be listed") from None
    for entry in ordered:
        path = Path(entry.path)
        parts = path.relative_to(base).parts
        hidden = entry.name.startswith(".")
        if not entry.is_dir():
            if pattern.matches(parts):
                yield uri_of(path) if is_photo_name(entry.name) and not hidden else None
        elif hidden or entry.path == output or not pattern.enters(parts, entry.is_symlink()):
            continue
        elif not is_output_folder(path):
            yield from _walk(path, base, pattern, output)


def _search(bucket: str, base: str, pattern: Pattern, settings: S3Settings, output: str) -> Found:
    """Photos below a prefix, in the order of the bucket's listing."""
    root = f"s3://{bucket}/{base}".rstrip("/")
    store = open_store(root, settings)
    above = output.rstrip("/") + "/"

    @cache
    def is_result(folder: str) -> bool:
        return store.exists(f"{folder}/{RUN_RECORD}" if folder else RUN_RECORD)

    for found in store.list():
        parts = tuple(found.name.split("/"))
        uri = f"{root}/{found.name}"
        if uri.startswith(above) or not pattern.matches(parts):
            continue
        if PREVIEWS in parts[:-1] and is_result("/".join(parts[: parts.index(PREVIEWS)])):
            continue
        if not any(part.startswith(".") for part in parts[:-1]):
            yield uri if is_photo_name(parts[-1]) and not parts[-1].startswith(".") else None
