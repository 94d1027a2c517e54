"""Which photos a job reads: a photo, a clip, a folder, a glob pattern, or a list, on a disk or in an S3 bucket."""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.settings import home_expanded
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, SettingsError
from facerecon_ray.storage.folder_walk import Entry, walk_files
from facerecon_ray.storage.input_files import Results, is_among_results, is_hidden
from facerecon_ray.storage.objects import ObjectStore, open_store
from facerecon_ray.storage.photos.clips import with_frames
from facerecon_ray.storage.photos.known_photos import KnownPairs, PlannedPhoto
from facerecon_ray.storage.photos.patterns import Pattern, has_wildcard
from facerecon_ray.storage.photos.photo_listing import PhotoListing
from facerecon_ray.storage.photos.photo_lists import is_list, read_list, read_pair_list
from facerecon_ray.storage.uris import (
    is_clip_name,
    is_photo_name,
    is_s3,
    path_of,
    scheme_of,
    split_s3_uri,
    uri_of,
)

_CHUNK = 1000


class _Place(NamedTuple):
    """What it is, the folder or the prefix that holds all photos in it, and what is there: URIs of photos and clips,
    and None for each other file."""

    what: str
    root: str
    found: Iterator[str | None]


def list_photos(
    source: str, settings: S3Settings | None = None, output: str = "", read: ReadSettings | None = None
) -> PhotoListing:
    """Find the photos of an input, and the frames of its clips.

    A file that is named directly or by a list is taken whatever its suffix, and need not exist when a list names it.
    Folders are searched recursively for files with a photo's or a clip's suffix, linked ones too, each folder once.
    Hidden files and what jobs have written, this one and earlier ones, are passed over.

    Parameters
    ----------
    source : photo, clip, folder, glob pattern, or a list of photos with the suffix .txt, .csv or .parquet; a path or s3://
    settings : how S3 is reached
    output : where results go
    read : how clips are read

    Raises
    ------
    InputError, StorageError
        when the input does not exist or cannot be read
    """
    where = canonical_input(source)
    settings = settings or S3Settings()
    place = _in_bucket(where, settings, output) if is_s3(where) else _on_disk(Path(where), output)
    listing = PhotoListing(place.what, place.root, with_frames(place.found, read or ReadSettings(), settings))
    if output and is_among_results(where, output):
        raise InputError(f"input {where}: it is among the results of the output {output}; choose another output")
    return listing


def list_pairs(source: str, settings: S3Settings | None = None, output: str = "") -> PhotoListing:
    """Find the pairs of photos of a list of pairs; arguments as those of `list_photos`.

    Raises
    ------
    InputError, StorageError
        when the list does not exist or cannot be read, a pair names one photo twice, or a front photo is in two pairs
    """
    where = canonical_input(source)
    if is_s3(where):
        bucket, key = split_s3_uri(where)
        store = open_store(f"s3://{bucket}", settings or S3Settings())
        if not key or not store.exists(key):
            raise InputError(f"list {where}: no such object")
        file = _list_in_bucket(store, where, key)
    else:
        try:
            is_file = Path(where).is_file()
        except OSError as error:
            raise InputError(f"list {where}: {error.strerror}") from None
        if not is_file:
            raise InputError(f"list {where}: no such file; a list of pairs is a .csv file")
        file = _list_on_disk(Path(where))

    def pairs() -> Iterator[PlannedPhoto]:
        for front, side in read_pair_list(where, file.open):
            pair = PlannedPhoto(file.locate(front), file.locate(side))
            if pair.uri == pair.side:
                raise InputError(f"list {where}: {front} is front and side of one pair; a pair is two photos")
            yield pair

    def checked() -> Iterator[PlannedPhoto]:
        known, all_pairs = KnownPairs(), pairs()
        while some := list(islice(all_pairs, _CHUNK)):
            yield from known.add_new(some)

    fronts = (pair.uri for pair in checked())
    first = next(fronts, None)
    if first is None:
        raise InputError(f"list {where}: there is no pair in it, only a header")
    listing = PhotoListing(f"list {where}", _common_folder(chain([first], fronts)), pairs())
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


def _on_disk(path: Path, output: str) -> _Place:
    try:
        is_there, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise InputError(f"input {path}: {error.strerror}") from None
    if is_folder:
        return _Place(f"folder {path}", str(path), _walk(path, Pattern(), output))
    if is_there:
        if not is_list(path.name):
            return _Place(f"photo {path}", str(path.parent), iter([uri_of(path)]))
        return _listed(str(path), _list_on_disk(path))
    if not has_wildcard(str(path)):
        raise InputError(f"input {path}: no such file or folder")
    above, pattern = Pattern.split(str(path))
    base = Path(above or "/")
    found = _walk(base, pattern, output) if base.is_dir() else iter(())
    return _Place(f"pattern {path}", str(base), found)


def _in_bucket(uri: str, settings: S3Settings, output: str) -> _Place:
    bucket, key = split_s3_uri(uri)
    store = open_store(f"s3://{bucket}", settings)
    if key and store.exists(key):
        above = uri.rpartition("/")[0]
        if not is_list(key):
            return _Place(f"photo {uri}", above, iter([uri]))
        return _listed(uri, _list_in_bucket(store, uri, key))
    if has_wildcard(key) and next(store.list(f"{key}/"), None) is None:
        base, pattern = Pattern.split(key)
        found = _search(bucket, base, pattern, settings, output)
        return _Place(f"pattern {uri}", f"s3://{bucket}/{base}".rstrip("/"), found)
    return _Place(f"prefix {uri}/", uri, _search(bucket, key, Pattern(), settings, output))


@dataclass(frozen=True)
class _ListFile:
    """A list: how it is opened, and the URI of the photo that an entry of it names."""

    open: Callable[[], BinaryIO]
    locate: Callable[[str], str]


def _list_on_disk(path: Path) -> _ListFile:
    return _ListFile(lambda: path.open("rb"), lambda entry: listed_photo(entry, path))


def _list_in_bucket(store: ObjectStore, uri: str, key: str) -> _ListFile:
    above = uri.rpartition("/")[0]

    def locate(entry: str) -> str:
        return entry if scheme_of(entry) or entry.startswith("/") else f"{above}/{entry}"

    return _ListFile(lambda: io.BytesIO(store.read(key)), locate)


def _listed(where: str, file: _ListFile) -> _Place:
    """A list is read twice, first for the folder that all its photos have in common and for mistakes in it."""

    def photos() -> Iterator[str]:
        return map(file.locate, read_list(where, file.open))

    return _Place(f"list {where}", _common_folder(photos()), photos())


def _common_folder(photos: Iterable[str]) -> str:
    """Of photos the folder or the prefix that all of them lie in."""
    common: list[str] | None = None
    for photo in photos:
        folders = (photo if is_s3(photo) else str(path_of(photo))).split("/")[:-1]
        if common is None:
            common = folders
        elif folders[: len(common)] != common:
            same = (number for number, pair in enumerate(zip(common, folders, strict=False)) if pair[0] != pair[1])
            common = common[: next(same, min(len(common), len(folders)))]
    return "/".join(common or []) or "/"


def listed_photo(entry: str, listing: Path) -> str:
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


def _walk(base: Path, pattern: Pattern, output: str) -> Iterator[str | None]:
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
                yield uri_of(Path(entry.path)) if _is_wanted(entry.name) and not is_hidden(name) else None
    except OSError as error:
        raise InputError(f"folder {error.filename}: {error.strerror}; its photos cannot be listed") from None


def _search(bucket: str, base: str, pattern: Pattern, settings: S3Settings, output: str) -> Iterator[str | None]:
    """Photos below a prefix, in the order of the bucket's listing."""
    root = f"s3://{bucket}/{base}".rstrip("/")
    store = open_store(root, settings)
    results = Results(store, (output,))
    for found in store.list():
        folders, _, last = found.name.rpartition("/")
        if is_hidden(folders) or results.include(found.name) or not pattern.matches(tuple(found.name.split("/"))):
            continue
        yield f"{root}/{found.name}" if _is_wanted(last) and not is_hidden(last) else None


def _is_wanted(name: str) -> bool:
    return is_photo_name(name) or is_clip_name(name)
