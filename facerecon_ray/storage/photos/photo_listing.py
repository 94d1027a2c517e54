"""Photos of an input while they are found: counted, and handed on once."""

from collections.abc import Iterator
from itertools import chain

from facerecon_ray.errors import InputError
from facerecon_ray.storage.photos.known_photos import PlannedPhoto
from facerecon_ray.storage.uris import ARCHIVE_SUFFIX, CLIP_SUFFIXES, PHOTO_SUFFIXES

Found = Iterator[str] | Iterator[PlannedPhoto] | Iterator[str | PlannedPhoto | None]
"""URIs of photos, or what is known of them, and None for each other file."""


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
        """URIs in a fixed order, of pairs those of the front photos; those of a list may come twice.

        Raises
        ------
        InputError
            when a folder or a list cannot be read
        """
        return (photo.uri for photo in self._photos)

    def planned(self) -> Iterator[PlannedPhoto]:
        """The same, with all that is known of them."""
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
            photos, clips = (", ".join(sorted(suffixes)) for suffixes in (PHOTO_SUFFIXES, CLIP_SUFFIXES))
            raise InputError(
                f"{self._where}: no photo found{passed_over}. Photos end in {photos}; clips in {clips}; "
                f"archives in {ARCHIVE_SUFFIX}"
            )
        self._photos = chain([first], self._photos)

    def _count(self, found: Found) -> Iterator[PlannedPhoto]:
        for photo in found:
            if photo is None:
                self.ignored += 1
            else:
                yield photo if isinstance(photo, PlannedPhoto) else PlannedPhoto(photo)
