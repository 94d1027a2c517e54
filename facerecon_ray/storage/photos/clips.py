"""Clips among photos: each stands for the frames of it that are read, which are photos of their own from then on."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from typing import BinaryIO

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import PhotoError, StorageError, StoreUnavailableError
from facerecon_ray.storage.input_files import file_size
from facerecon_ray.storage.objects import as_bucket, open_store
from facerecon_ray.storage.uris import frame_uri, is_clip_name, is_s3, path_of, split_s3_uri

THREADS = 8
"""Clips whose lengths are looked up at a time."""


def open_clip(uri: str, s3: S3Settings) -> BinaryIO:
    """A file on a disk or in a bucket, to be read in places.

    Raises
    ------
    OSError, PhotoError, StorageError
        when it is not there or cannot be read
    """
    if not is_s3(uri):
        path = path_of(uri)
        file_size(path)
        return path.open("rb")
    from facerecon_ray.storage.s3_object import open_object

    bucket, key = split_s3_uri(uri)
    store = as_bucket(open_store(f"s3://{bucket}", s3))
    assert store is not None
    return open_object(store, key)


def frames_of(clip: str, settings: ReadSettings, s3: S3Settings) -> Iterator[str]:
    """URIs of the frames of a clip; and where something is wrong with it the clip's own, whose row will say what."""
    # Loaded where there are clips alone: the library of decoders has 70 MB.
    from facerecon_ray.storage.photos.clip_file import Clip

    moments: Iterator[float] = iter(())
    try:
        with open_clip(clip, s3) as file, closing(Clip(file, settings.max_pixels)) as opened:
            moments, fault = opened.moments(settings.frames_per_second)
    except StoreUnavailableError:
        raise
    except (OSError, ValueError, PhotoError, StorageError):
        fault = "it cannot be read"
    return chain((frame_uri(clip, moment) for moment in moments), [clip] if fault else [])


def with_frames(photos: Iterable[str | None], settings: ReadSettings, s3: S3Settings) -> Iterator[str | None]:
    """The same photos, with their frames in place of clips, or with None where clips are not read.

    Parameters
    ----------
    photos : URIs, and None for each file that is none
    settings : how many frames are read
    s3 : how S3 is reached

    Raises
    ------
    StoreUnavailableError
        when the store of a clip does not answer
    """
    waiting: deque[str | Future[Iterator[str]] | None] = deque()
    with ThreadPoolExecutor(THREADS) as threads:
        for photo in photos:
            if photo is None or not is_clip_name(photo):
                waiting.append(photo)
            elif settings.frames_per_second:
                waiting.append(threads.submit(frames_of, photo, settings, s3))
            else:
                waiting.append(None)
            if len(waiting) > 2 * THREADS:
                yield from _taken(waiting.popleft())
        while waiting:
            yield from _taken(waiting.popleft())


def _taken(photo: str | Future[Iterator[str]] | None) -> Iterator[str | None]:
    if isinstance(photo, Future):
        yield from photo.result()
    else:
        yield photo
