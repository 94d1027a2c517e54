"""Which files of a folder or a bucket are a user's: not hidden ones, and not what jobs have written there."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from facerecon_ray.errors import PhotoError, StorageError, StoreUnavailableError
from facerecon_ray.storage.layout import RESULTS, RUN_RECORD
from facerecon_ray.storage.objects import ObjectStore, StoredObject
from facerecon_ray.storage.uris import is_s3

_READERS = 16
_OF_A_SYSTEM = re.compile(
    r"(?:^|/)(?:@eaDir|#recycle|@Recycle|\$RECYCLE\.BIN|System Volume Information|lost\+found)(?:/|$)"
    r"|\.photoslibrary/(?!(?:originals|Masters)(?:/|$))",
    re.IGNORECASE,
)
"""Folders that NAS boxes, Windows and Linux make on their own; of Apple's photo libraries all but the photos."""
_RECORD_OF = {result: record for record, results in RESULTS.items() for result in results}


def is_hidden(name: str) -> bool:
    """Whether a file is not a user's to see: it, or a folder that it is in, has a name with a dot at its start, as
    macOS's ._twins have, or is a folder in which systems keep thumbnails, previews and what was deleted.
    """
    return name.startswith(".") or "/." in name or _OF_A_SYSTEM.search(name) is not None


def input_files(store: ObjectStore, written: tuple[str, ...] = (), record: str = RUN_RECORD) -> Iterator[StoredObject]:
    """Files of a store that are a user's.

    Parameters
    ----------
    store : folder or bucket
    written : places that the job at hand writes to
    record : see `Results`
    """
    results = Results(store, written, record)
    for found in store.list():
        if not (is_hidden(found.name) or results.include(found.name)):
            yield found


def fingerprint(store: ObjectStore, names: Iterable[str]) -> str:
    """SHA-256 over the names of files and what is in them, in their order.

    Raises
    ------
    StorageError
        when a file cannot be read
    """
    digest = hashlib.sha256()
    remaining = iter(names)
    with ThreadPoolExecutor(_READERS) as readers:
        while some := list(islice(remaining, 4 * _READERS)):
            for name, contents in zip(some, readers.map(lambda name: _digest(store, name), some), strict=True):
                digest.update(os.fsencode(f"{name}\0") + contents)
    return digest.hexdigest()


def _digest(store: ObjectStore, name: str) -> bytes:
    return hashlib.sha256(store.read(name)).digest()


def read_photo(store: ObjectStore, name: str, max_bytes: int | None = None) -> bytes:
    """A photo among others: that one cannot be read is no reason to stop.

    Raises
    ------
    PhotoError
        when it cannot be read
    StoreUnavailableError
        when the store does not answer
    """
    try:
        return store.read(name, max_bytes)
    except StoreUnavailableError:
        raise
    except StorageError as error:
        raise PhotoError(f"it cannot be read ({error})") from None


def file_size(path: Path) -> int:
    """Bytes of a photo or a clip on a disk.

    Raises
    ------
    PhotoError
        when it is no regular file, which would have no end perhaps
    OSError
        when there is none
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError("this is a folder, not a photo")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("this is not a regular file")
    return status.st_size


class Results:
    """Tells what jobs have written from a user's files.

    Of the places that the job at hand writes to, one below the store is passed over as a whole; where one is the store
    itself, what jobs write is passed over by its names. Results of other jobs are known by the record beside them.

    Parameters
    ----------
    store : folder or bucket; its names are asked for in the order of its listing
    written : places that the job at hand writes to, absolute paths or s3://bucket/prefix
    record : of the job at hand
    """

    def __init__(self, store: ObjectStore, written: tuple[str, ...] = (), record: str = RUN_RECORD) -> None:
        self._store = store
        root = comparable(store.uri)
        self._places = [comparable(place) for place in written if place]
        self._inside = tuple(place[len(root) + 1 :] for place in self._places if place.startswith(f"{root}/"))
        self._own = {record, *RESULTS[record]} if root in self._places else set()
        self._records: dict[str, bool] = {}

    def include(self, name: str) -> bool:
        """Whether a file or a folder belongs to the results of a job."""
        parts = name.split("/")
        if parts[0] in self._own or any(name == place or name.startswith(f"{place}/") for place in self._inside):
            return True
        if parts[-1] in RESULTS:
            self._records[name] = True
        return any(part in _RECORD_OF and self._recorded(parts[:depth], part) for depth, part in enumerate(parts))

    def hold(self, folder: str) -> bool:
        """Whether a link leads to a place, or into it, that the job at hand writes to."""
        target = comparable(folder)
        return any(f"{target}/".startswith(f"{place}/") for place in self._places)

    def _recorded(self, above: list[str], result: str) -> bool:
        """Whether the record is there that belongs to a result; one that is listed before it has been seen."""
        record = "/".join((*above, _RECORD_OF[result]))
        if record not in self._records and _RECORD_OF[result] > result:
            self._records[record] = self._store.exists(record)
        return self._records.get(record, False)


def is_among_results(place: str, output: str) -> bool:
    """Whether a place lies in one of the folders in which an output keeps its results."""
    output, place = comparable(output), comparable(place)
    return place.startswith(f"{output}/") and place[len(output) + 1 :].split("/")[0] in _RECORD_OF


def comparable(place: str) -> str:
    """A place under its one name: without a slash at the end, and in a file system without links."""
    return place.rstrip("/") if is_s3(place) else os.path.realpath(place).rstrip("/")
