"""Parquet files among photos: each with a column of pictures stands for its rows, which are photos from then on."""

from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import (
    ChangedObjectError,
    InputError,
    MissingObjectError,
    ObjectTooLargeError,
    PhotoError,
)
from facerecon_ray.storage.photos.image_table import ImageTable
from facerecon_ray.storage.photos.known_photos import PlannedPhoto, Span
from facerecon_ray.storage.photos.opened_file import open_file
from facerecon_ray.storage.uris import split_fragment, with_fragment

WHOLE = "the Parquet file itself is no photo; pictures in it are rows of their own, named FILE.parquet#ROW"
CHANGED = "the Parquet file was written anew since its rows were listed: this one may be another photo now"


def photos_of_table(table: str, s3: S3Settings) -> Iterator[PlannedPhoto | None]:
    """Pictures of a Parquet file, and None for each row without one, or for a file without any.

    Raises
    ------
    OSError, PhotoError, StorageError
        when it cannot be read
    """
    with ImageTable(open_file(table, s3)) as opened:
        if not opened.column:
            yield None
            return
        span = Span(0, 0, opened.version)
        for row, has_picture in opened.rows():
            yield PlannedPhoto(with_fragment(table, str(row)), span=span) if has_picture else None


def holds_pictures(table: str, s3: S3Settings) -> bool:
    """Whether a file that ends in .parquet has a column of pictures, and is not a list of names.

    Raises
    ------
    InputError
        when it has several
    StorageError
        when it cannot be read
    """
    try:
        opened = ImageTable(open_file(table, s3))
    except (OSError, PhotoError):
        return False
    with opened:
        try:
            return opened.column is not None
        except PhotoError as error:
            raise InputError(f"input {table}: {error}") from None


class TableReader:
    """Reads pictures in Parquet files; of each file, one thread at a time may ask.

    Files stay open until `rest`, and the last one after it: it is mostly the next photos' file too, and what lies
    before a picture in its file cannot be passed over without reading it.

    Parameters
    ----------
    s3 : how S3 is reached
    max_bytes : of a photo
    """

    def __init__(self, s3: S3Settings, max_bytes: int) -> None:
        self._s3, self._max_bytes = s3, max_bytes
        self._tables: OrderedDict[str, ImageTable] = OrderedDict()
        self._lock = Lock()

    def read(self, uri: str, span: Span | None = None) -> bytes:
        """Contents of a picture.

        Parameters
        ----------
        uri : of the picture; of a Parquet file, to learn what is wrong with it
        span : of which version of the file it was when it was listed

        Raises
        ------
        PhotoError
            when there is none, or the file is another one now
        ObjectTooLargeError
            when it is too large
        OSError, StorageError
            when it cannot be read
        """
        file, row = split_fragment(uri)
        try:
            table = self._opened(file)
            if span and table.version != span.version:
                self._close(file)
                table = self._opened(file)
            if span and table.version != span.version:
                raise PhotoError(CHANGED)
            if not row:
                raise PhotoError(WHOLE if table.column else "the Parquet file has no column of pictures")
            data = table.picture(int(row))
        except (FileNotFoundError, MissingObjectError):
            raise PhotoError("the Parquet file does not exist") from None
        except ChangedObjectError:
            self._close(file)
            raise PhotoError(CHANGED) from None
        if len(data) > self._max_bytes:
            raise ObjectTooLargeError(f"{uri}: {len(data):,} bytes", len(data))
        return data

    def rest(self) -> None:
        """Close all files but the last one."""
        for file in list(self._tables)[:-1]:
            self._close(file)

    def _opened(self, file: str) -> ImageTable:
        with self._lock:
            table = self._tables.pop(file, None)
        table = table or ImageTable(open_file(file, self._s3))
        with self._lock:
            self._tables[file] = table
        return table

    def _close(self, file: str) -> None:
        with self._lock:
            table = self._tables.pop(file, None)
        if table:
            table.close()
