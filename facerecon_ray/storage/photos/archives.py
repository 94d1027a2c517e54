"""Archives among photos: each stands for the photos in it, which are read from their places without the rest of it."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import (
    ChangedObjectError,
    MissingObjectError,
    ObjectTooLargeError,
    PhotoError,
)
from facerecon_ray.storage.photos.known_photos import PlannedPhoto, Span
from facerecon_ray.storage.photos.opened_file import open_file, read_span
from facerecon_ray.storage.photos.tar_archive import members
from facerecon_ray.storage.uris import split_fragment, with_fragment

WHOLE = "the archive itself is no photo; photos in it are rows of their own, named ARCHIVE.tar#NAME"

_KEPT_INDEXES = 4
_CHANGING = "its archive is written while it is read"


def photos_of_archive(archive: str, s3: S3Settings) -> Iterator[PlannedPhoto | None]:
    """Photos of an archive and None for each other file in it.

    Raises
    ------
    OSError, PhotoError, StorageError
        when it cannot be read, or on from where it breaks off
    """
    opened = open_file(archive, s3, scattered=True)
    with opened.file:
        for member in members(opened):
            yield member and PlannedPhoto(with_fragment(archive, member.label), span=member.span)


@dataclass(frozen=True)
class _Index:
    """What is in an archive of a version: where each photo lies, and what is wrong with the archive, "" if nothing."""

    version: str
    spans: dict[str, Span | None]
    fault: str


class ArchiveReader:
    """Reads photos in archives; threads may share it.

    A photo that was listed is read from where it was then, by one request, if its archive is still the same. Else, and
    if it is only known by its name, it is looked for: the last few archives of such photos are known by heart.

    Parameters
    ----------
    s3 : how S3 is reached
    max_bytes : of a photo
    """

    def __init__(self, s3: S3Settings, max_bytes: int) -> None:
        self._s3, self._max_bytes = s3, max_bytes
        self._indexes: OrderedDict[str, _Index] = OrderedDict()
        self._lock = Lock()

    def read(self, uri: str, span: Span | None = None) -> bytes:
        """Contents of a photo.

        Parameters
        ----------
        uri : of the photo; of an archive, to learn what is wrong with it
        span : where it was when it was listed

        Raises
        ------
        PhotoError
            when there is none of that name, or no such archive
        ObjectTooLargeError
            when it is too large
        OSError, StorageError
            when it cannot be read
        """
        archive, label = split_fragment(uri)
        try:
            if span:
                try:
                    return self._read(archive, span)
                except ChangedObjectError:
                    pass
            return self._read(archive, self._find(archive, label))
        except (FileNotFoundError, MissingObjectError):
            raise PhotoError("the archive does not exist") from None
        except ChangedObjectError:
            raise PhotoError(_CHANGING) from None

    def _read(self, archive: str, span: Span) -> bytes:
        if span.size > self._max_bytes:
            raise ObjectTooLargeError(f"{archive}: {span.size:,} bytes at {span.start:,}", span.size)
        return read_span(archive, span, self._s3)

    def _find(self, archive: str, label: str) -> Span:
        index = self._index(archive)
        if not label:
            raise PhotoError(index.fault or WHOLE)
        if label not in index.spans:
            raise PhotoError(f"the archive has no photo of that name{index.fault and f'; {index.fault}'}")
        span = index.spans[label]
        if span is None:
            raise PhotoError("the archive does not hold it in one piece (a sparse file, or a link): pack it as a file")
        return span

    def _index(self, archive: str) -> _Index:
        with self._lock:
            opened = open_file(archive, self._s3, scattered=True)
            with opened.file:
                known = self._indexes.pop(archive, None)
                if known is None or known.version != opened.version:
                    spans: dict[str, Span | None] = {}
                    fault = ""
                    try:
                        spans.update(member for member in members(opened) if member)
                    except PhotoError as error:
                        fault = str(error)
                    known = _Index(opened.version, spans, fault)
            self._indexes[archive] = known
            if len(self._indexes) > _KEPT_INDEXES:
                self._indexes.popitem(last=False)
            return known
