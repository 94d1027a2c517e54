"""Which photos a job reads: a photo, a clip, an archive, a folder, a pattern or a list, on a disk or in a bucket."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import InputError, PhotoError, StorageError, StoreUnavailableError
from facerecon_ray.storage.folder_walk import Entry, walk_files
from facerecon_ray.storage.input_files import Results, is_among_results, is_hidden
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.photos.archives import ArchiveReader
from facerecon_ray.storage.photos.contents import Photo, with_contents
from facerecon_ray.storage.photos.input_names import canonical_input, common_folder
from facerecon_ray.storage.photos.known_photos import PlannedPhoto
from facerecon_ray.storage.photos.list_files import ListFile, list_in_bucket, list_on_disk
from facerecon_ray.storage.photos.patterns import Pattern, expand_braces, has_wildcard
from facerecon_ray.storage.photos.photo_listing import PhotoListing
from facerecon_ray.storage.photos.photo_lists import is_list, read_list
from facerecon_ray.storage.photos.tables import holds_pictures
from facerecon_ray.storage.uris import (
    is_archive_name,
    is_clip_name,
    is_photo_name,
    is_s3,
    is_table_name,
    split_fragment,
    split_s3_uri,
    uri_of,
    with_fragment,
)

_LANCE = ".lance"


class _Place(NamedTuple):
    """What it is, the folder or the prefix that holds all photos in it, what is there: URIs of photos, and of files
    that hold some, and None for each other file; and whether it is one archive."""

    what: str
    root: str
    found: Iterator[str | None]
    is_archive: bool = False


def list_photos(
    source: str, settings: S3Settings | None = None, output: str = "", read: ReadSettings | None = None
) -> PhotoListing:
    """Find the photos of an input, the frames of its clips and the photos in its archives and Parquet files.

    A file that is named directly or by a list is taken whatever its suffix, and need not exist when a list or a
    pattern with braces names it. Folders are searched recursively for files with the suffix of a photo, a clip or an
    archive, and Parquet files with pictures, linked ones too, each folder once. Hidden files and what jobs have
    written, this one and earlier ones, are passed over.

    Parameters
    ----------
    source : photo, clip, archive, Parquet file with pictures, folder, glob pattern, pattern with braces, or a list of
        photos with the suffix .txt, .csv or .parquet; a path or s3://
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
    place = _place(where, settings, output)
    found = with_contents(place.found, read or ReadSettings(), settings)
    listing = PhotoListing(place.what, place.root, _readable(place, found, settings))
    if output and is_among_results(where, output):
        raise InputError(f"input {where}: it is among the results of the output {output}; choose another output")
    return listing


def _place(where: str, settings: S3Settings, output: str) -> _Place:
    if where.lower().endswith(_LANCE):
        raise InputError(
            f"input {where}: Lance data sets are not read; write one as Parquet files, 100 rows in each "
            "(docs/inputs.md says how), or as tar archives"
        )
    return _in_bucket(where, settings, output) if is_s3(where) else _on_disk(where, settings, output)


def _readable(place: _Place, found: Iterator[Photo], settings: S3Settings) -> Iterator[Photo]:
    """What was found; that of an archive that was named, and of which nothing can be read, is an error.

    Raises
    ------
    InputError
        with what is wrong with the archive
    """
    for photo in found:
        if place.is_archive and isinstance(photo, PlannedPhoto) and not split_fragment(photo.uri)[1]:
            try:
                ArchiveReader(settings, max_bytes=0).read(photo.uri)
            except StoreUnavailableError:
                raise
            except (OSError, PhotoError, StorageError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise InputError(f"{place.what}: {reason}") from None
        yield photo
        if photo is not None:
            break
    yield from found


def _on_disk(where: str, settings: S3Settings, output: str) -> _Place:
    path = Path(where)
    try:
        is_there, is_folder = path.exists(), path.is_dir()
    except OSError as error:
        raise InputError(f"input {path}: {error.strerror}") from None
    if is_folder:
        return _Place(f"folder {path}", str(path), _walk(path, Pattern(), output))
    if is_there:
        if is_list(path.name) and not holds_pictures(uri_of(path), settings):
            return _listed(where, list_on_disk(path))
        return _one(uri_of(path))
    file, fragment = split_fragment(where)
    if fragment and Path(file).is_file():
        return _one(with_fragment(uri_of(Path(file)), fragment))
    if names := expand_braces(where):
        return _alternatives(where, names, settings, output)
    if not has_wildcard(where):
        raise InputError(f"input {path}: no such file or folder")
    above, pattern = Pattern.split(str(path))
    base = Path(above or "/")
    found = _walk(base, pattern, output) if base.is_dir() else iter(())
    return _Place(f"pattern {path}", str(base), found)


def _in_bucket(uri: str, settings: S3Settings, output: str) -> _Place:
    bucket, key = split_s3_uri(uri)
    store = open_store(f"s3://{bucket}", settings)
    if key and store.exists(key):
        is_names = is_list(key) and not holds_pictures(uri, settings)
        return _listed(uri, list_in_bucket(store, uri, key)) if is_names else _one(uri)
    file, fragment = split_fragment(key)
    if fragment and store.exists(file):
        return _one(uri)
    names = expand_braces(uri)
    if (names or has_wildcard(key)) and next(store.list(f"{key}/"), None) is None:
        if names:
            return _alternatives(uri, names, settings, output)
        base, pattern = Pattern.split(key)
        found = _search(bucket, base, pattern, settings, output)
        return _Place(f"pattern {uri}", f"s3://{bucket}/{base}".rstrip("/"), found)
    return _Place(f"prefix {uri}/", uri, _search(bucket, key, Pattern(), settings, output))


def _one(uri: str) -> _Place:
    """A file that was named, or a photo in it."""
    is_archive = is_archive_name(uri)
    return _Place(f"{'archive' if is_archive else 'photo'} {uri}", common_folder([uri]), iter([uri]), is_archive)


def _alternatives(where: str, names: Sequence[str], settings: S3Settings, output: str) -> _Place:
    """What a pattern with braces stands for, one after the other; like a list, it may name files that are not there.

    Raises
    ------
    InputError
        when it names a folder or a list that is not there, or no file that is there
    """
    places: dict[str, _Place] = {}
    folders = []
    for name in names:
        if has_wildcard(name) or not _is_wanted(name):
            places[name] = _place(name, settings, output)
        folders.append(f"{Pattern.split(name)[0]}/*" if has_wildcard(name) else name)
    if not places and not any(_is_there(name, settings) for name in names):
        raise InputError(f"input {where}: none of {len(names)} files is there, from {names[0]} to {names[-1]}")

    def found() -> Iterator[str | None]:
        for name in names:
            if name in places:
                yield from places[name].found
            else:
                yield name if is_s3(name) else uri_of(Path(name))

    return _Place(f"pattern {where}", common_folder(folders), found())


def _is_there(name: str, settings: S3Settings) -> bool:
    if not is_s3(name):
        return Path(name).exists()
    bucket, key = split_s3_uri(name)
    return open_store(f"s3://{bucket}", settings).exists(key)


def _listed(where: str, file: ListFile) -> _Place:
    """A list is read twice, first for the folder that all its photos have in common and for mistakes in it."""

    def photos() -> Iterator[str]:
        return map(file.locate, read_list(where, file.open))

    return _Place(f"list {where}", common_folder(photos()), photos())


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
    return is_photo_name(name) or is_clip_name(name) or is_archive_name(name) or is_table_name(name)
