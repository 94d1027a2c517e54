"""Clips among photos: each stands for the frames of it that are read, which are photos of their own from then on."""

from collections.abc import Iterator
from contextlib import closing

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.photos.opened_file import open_file
from facerecon_ray.storage.uris import frame_uri


def frames_of(clip: str, settings: ReadSettings, s3: S3Settings) -> Iterator[str]:
    """URIs of the frames of a clip.

    Raises
    ------
    OSError, PhotoError, StorageError, ValueError
        when it cannot be read, or on from where it breaks off
    """
    # Loaded where there are clips alone: the library of decoders has 70 MB.
    from facerecon_ray.storage.photos.clip_file import Clip

    with open_file(clip, s3).file as file, closing(Clip(file, settings.max_pixels)) as opened:
        moments, fault = opened.moments(settings.frames_per_second)
    yield from (frame_uri(clip, moment) for moment in moments)
    if fault:
        raise PhotoError(fault)
