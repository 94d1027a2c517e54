"""Which photos a job reads: a photo, a folder, a glob pattern, or a list, on a disk or in an S3 bucket."""

import io
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from facerecon_ray.config.settings import home_expanded
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, SettingsError
from facerecon_ray.storage.folder_walk import Entry, walk_files
from facerecon_ray.storage.input_files import Results, is_among_results, is_hidden
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
    Folders are searched recursively for files with a photo's suffix, linked ones too, each folder once. Hidden files
    and what jobs have written, this one and earlier ones, are passed over.

    Parameters
    ----------
    source : photo, folder, glob pattern, or a list of photos with the suffix .txt, .csv or .parquet; a path or s3://
    settings : how S3 is reached
    output : where results go

    Raises
    ------
    InputError, StorageError
        when the input does not exist or cannot be read
    """
    where = canonical_input(source)
    settings = settings or S3Settings()
    listing = _in_bucket(where, settings, output) if is_s3(where) else _on_disk(Path(where), output)
    if output and is_among_results(where, output):
        raise InputError(f"input {where}: it is among the results of the output {output}; choose another output")
    return listing


def canonical_input(source: str) -> str:
    """Absolute path, pattern or s3:// URI of an input, so that the same input has the same name from every folder."""
    if not source.strip():
        raise InputError("the input is empty: name a photo, a folder, a pattern or a list of photos")
    if is_s3(source):
        bucket, key = split_s3_uri(source)
        return f"s3://{bucket}/{key.rstrip('/')}".rstrip("/")
    return str(_absolute(source, Path.cwd(), "input"))


def _on_disk(path: Path, output: str) -> PhotoListing:
    try:
        is_there, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise InputError(f"input {path}: {error.strerror}") from None
    if is_folder:
        return PhotoListing(f"folder {path}", str(path), _walk(path, Pattern(), output))
    if is_there:
        if not is_list(path.name):
            return PhotoListing(f"photo {path}", str(path.parent), iter([uri_of(path)]))
        return _listed(str(path), lambda: path.open("rb"), lambda entry: _entry(entry, path))
    if not has_wildcard(str(path)):
        raise InputError(f"input {path}: no such file or folder")
    above, pattern = Pattern.split(str(path))
    base = Path(above or "/")
    found = _walk(base, pattern, output) if base.is_dir() else iter(())
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
    if has_wildcard(key) and next(store.list(f"{key}/"), None) is None:
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
    try:
        path = base / home_expanded(path_of(entry))
        return path.resolve() if path.name in ("", "..") else path.parent.resolve() / path.name
    except SettingsError as error:
        raise InputError(f"{where} {error}") from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "links that lead in a circle"
        raise InputError(f"{where} {entry}: {reason}") from None


def _walk(base: Path, pattern: Pattern, output: str) -> Found:
    """Files below a folder that match, files and subfolders in the order of their names, linked folders last."""
    results = Results(open_store(base), (output,))

    def enters(name: str, entry: Entry) -> bool:
        if is_hidden(name) or results.include(name) or (entry.is_symlink() and results.hold(entry.path)):
            return False
        return pattern.enters(tuple(name.split("/")))

    try:
        for name, entry in walk_files(base, enters):
            if entry is None:
                yield None
            elif not results.include(name) and pattern.matches(tuple(name.split("/"))):
                yield uri_of(Path(entry.path)) if is_photo_name(entry.name) and not is_hidden(name) else None
    except OSError as error:
        raise InputError(f"folder {error.filename}: {error.strerror}; its photos cannot be listed") from None


def _search(bucket: str, base: str, pattern: Pattern, settings: S3Settings, output: str) -> Found:
    """Photos below a prefix, in the order of the bucket's listing."""
    root = f"s3://{bucket}/{base}".rstrip("/")
    store = open_store(root, settings)
    results = Results(store, (output,))
    for found in store.list():
        folders, _, last = found.name.rpartition("/")
        if is_hidden(folders) or results.include(found.name) or not pattern.matches(tuple(found.name.split("/"))):
            continue
        yield f"{root}/{found.name}" if is_photo_name(last) and not is_hidden(last) else None
