"""Clips among photos: each stands for the frames of it that are read, which are photos of their own from then on."""

from collections.abc import Iterator
from contextlib import closing
from itertools import chain

from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import PhotoError, StorageError, StoreUnavailableError
from facerecon_ray.storage.photos.opened_file import open_file
from facerecon_ray.storage.uris import frame_uri


def frames_of(clip: str, settings: ReadSettings, s3: S3Settings) -> Iterator[str]:
    """URIs of the frames of a clip; and where something is wrong with it the clip's own, whose row will say what."""
    # Loaded where there are clips alone: the library of decoders has 70 MB.
    from facerecon_ray.storage.photos.clip_file import Clip

    moments: Iterator[float] = iter(())
    try:
        with open_file(clip, s3).file as file, closing(Clip(file, settings.max_pixels)) as opened:
            moments, fault = opened.moments(settings.frames_per_second)
    except StoreUnavailableError:
        raise
    except (OSError, ValueError, PhotoError, StorageError):
        fault = "it cannot be read"
    return chain((frame_uri(clip, moment) for moment in moments), [clip] if fault else [])
