"""Files among photos that hold photos: clips, archives and Parquet files, in whose place come the photos in them."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from queue import SimpleQueue

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import PhotoError, StorageError, StoreUnavailableError
from facerecon_ray.storage.photos.archives import photos_of_archive
from facerecon_ray.storage.photos.clips import frames_of
from facerecon_ray.storage.photos.known_photos import PlannedPhoto
from facerecon_ray.storage.photos.tables import photos_of_table
from facerecon_ray.storage.uris import is_archive_name, is_clip_name, is_table_name

Photo = str | PlannedPhoto | None
"""A photo, and None for a file that is none."""

THREADS = 16
"""Files that are looked into at a time."""

_CHUNK = 1000

_Chunks = SimpleQueue[list[Photo] | BaseException | None]


def with_contents(found: Iterable[str | None], settings: ReadSettings, s3: S3Settings) -> Iterator[Photo]:
    """The same photos in the same order, with what is in clips, archives and Parquet files in place of these.

    Parameters
    ----------
    found : URIs, and None for each file that is none
    settings : how many frames are read; without any, clips become None
    s3 : how S3 is reached

    Raises
    ------
    StoreUnavailableError
        when the store of such a file does not answer
    """
    waiting: deque[Photo | _Chunks] = deque()
    stopped = threading.Event()
    threads = ThreadPoolExecutor(THREADS)
    try:
        for name in found:
            contents = _contents(name, settings, s3) if name else None
            if name is None or contents is None:
                waiting.append(name)
            else:
                chunks: _Chunks = SimpleQueue()
                threads.submit(_look_into, _or_itself(name, contents), chunks, stopped)
                waiting.append(chunks)
            if len(waiting) > 2 * THREADS:
                yield from _taken(waiting.popleft())
        while waiting:
            yield from _taken(waiting.popleft())
    finally:
        stopped.set()
        threads.shutdown(wait=False, cancel_futures=True)


def _contents(name: str, settings: ReadSettings, s3: S3Settings) -> Callable[[], Iterator[Photo]] | None:
    """What finds the photos in a file; None for one that is a photo itself."""
    if is_clip_name(name):
        return partial(frames_of, name, settings, s3) if settings.frames_per_second else lambda: iter([None])
    if is_archive_name(name):
        return partial(photos_of_archive, name, s3)
    return partial(photos_of_table, name, s3) if is_table_name(name) else None


def _or_itself(name: str, contents: Callable[[], Iterator[Photo]]) -> Iterator[Photo]:
    """What is in a file; where something is wrong with it, last the file itself, whose row will say what."""
    try:
        yield from contents()
    except StoreUnavailableError:
        raise
    except (OSError, ValueError, PhotoError, StorageError):
        yield PlannedPhoto(name)


def _look_into(photos: Iterator[Photo], chunks: _Chunks, stopped: threading.Event) -> None:
    try:
        while not stopped.is_set() and (chunk := list(islice(photos, _CHUNK))):
            chunks.put(chunk)
        chunks.put(None)
    except BaseException as error:  # noqa: BLE001 - raised where the photos are taken
        chunks.put(error)


def _taken(photo: Photo | _Chunks) -> Iterator[Photo]:
    if not isinstance(photo, SimpleQueue):
        yield photo
        return
    while (chunk := photo.get()) is not None:
        if isinstance(chunk, BaseException):
            raise chunk
        yield from chunk
