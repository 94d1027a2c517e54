"""An S3 bucket, or a prefix in one, as an object store."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import ChangedObjectError, MissingObjectError, ObjectTooLargeError, StorageError
from facerecon_ray.storage.objects import ObjectStore, StoredObject
from facerecon_ray.storage.s3_client import call, status_of, whole
from facerecon_ray.storage.s3_upload import abort_uploads, parts_of, upload

PAGE_KEYS = 1000

_NO_SUCH_RANGE = 416

CONTENT_TYPES = {
    ".glb": "model/gltf-binary",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".obj": "model/obj",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".tar": "application/x-tar",
    ".webp": "image/webp",
}
"""What browsers are told that objects are, by the ends of their names: they show a page instead of saving it."""


class S3Store(ObjectStore):
    """Objects of a bucket below a prefix.

    Parameters
    ----------
    bucket : its name
    prefix : without slashes at its ends; "" for the whole bucket
    settings : endpoint and time limits; credentials come from the standard chain
    """

    def __init__(self, bucket: str, prefix: str, settings: S3Settings) -> None:
        self.bucket = bucket
        self.settings = settings
        self._above = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """See `ObjectStore.read`; any key that S3 allows may be read."""

        def attempt(client: Any) -> bytes:
            answer = whole(client.get_object(Bucket=self.bucket, Key=self._above + name), "ContentLength")
            size = answer["ContentLength"]
            with closing(answer["Body"]) as body:
                if max_bytes is not None and size > max_bytes:
                    raise ObjectTooLargeError(
                        f"{self.describe(name)} has {size:,} bytes, more than {max_bytes:,}", size
                    )
                data: bytes = body.read()
            return data

        return call(self.describe(name), self.settings, attempt)

    def read_range(self, name: str, start: int, end: int, etag: str = "") -> bytes:
        """See `ObjectStore.read_range`; of any key that S3 allows.

        Parameters
        ----------
        etag : that the object had when the places were found out; "" takes them from whatever is there now

        Raises
        ------
        ChangedObjectError
            when it has another one now
        """

        def attempt(client: Any) -> bytes:
            wanted = f"bytes={start}-{end - 1}"
            try:
                answer = client.get_object(Bucket=self.bucket, Key=self._above + name, Range=wanted)
            except ClientError as error:
                if status_of(error) == _NO_SUCH_RANGE:
                    raise self._changed(name) from None
                raise
            with closing(answer["Body"]) as body:
                if etag and whole(answer, "ETag")["ETag"] != etag:
                    raise self._changed(name)
                data: bytes = body.read()
            if (size := _size_of(answer)) is not None and size < end:
                raise self._changed(name)
            if len(data) != end - start:
                raise ConnectionError(f"{len(data)} bytes arrived, not {end - start}")
            return data

        return call(self.describe(name), self.settings, attempt)

    def find(self, name: str) -> StoredObject:
        """What a listing knows of an object; errors as those of `read`."""

        def attempt(client: Any) -> StoredObject:
            head = client.head_object(Bucket=self.bucket, Key=self._above + name)
            answer = whole(head, "ContentLength", "LastModified", "ETag")
            return StoredObject(name, int(answer["ContentLength"]), answer["LastModified"], answer["ETag"])

        return call(self.describe(name), self.settings, attempt)

    def write(self, name: str, data: bytes) -> None:
        """See `ObjectStore.write`."""
        key = self._key(name)
        kind = _content_type(key)
        call(
            self.describe(name),
            self.settings,
            lambda s3: s3.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=kind),
        )

    def write_stream(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `ObjectStore.write_stream`; in parts, of which a few are in memory at a time."""
        parts = parts_of(pieces)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            self.write(name, first)
            return
        key = self._key(name)
        upload(self.bucket, key, _content_type(key), chain((first, second), parts), self.settings)

    def delete_unfinished(self, folders: Iterable[str]) -> None:
        """See `ObjectStore.delete_unfinished`."""
        for folder in folders:
            abort_uploads(self.bucket, f"{self._above}{folder}/", self.settings)

    def write_if_absent(self, name: str, data: bytes) -> bool:
        """See `ObjectStore.write_if_absent`."""
        return self.replace(name, data, None) is not None

    def replace(self, name: str, data: bytes, etag: str | None) -> str | None:
        """Write an object in place of the one with this etag, or of none.

        Returns
        -------
        Its new etag, None when there is another object of that name and nothing was written
        """
        key = self._key(name)
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        attempts = 0

        def attempt(client: Any) -> str:
            nonlocal attempts
            attempts += 1
            answer = client.put_object(
                Bucket=self.bucket, Key=key, Body=data, ContentType=_content_type(key), **condition
            )
            return str(whole(answer, "ETag")["ETag"])

        try:
            return call(self.describe(name), self.settings, attempt)
        except MissingObjectError:
            return None
        except ClientError as error:
            if status_of(error) != 412:
                raise
        # The first attempt may have succeeded although its answer was lost.
        found = self.age(name) if attempts > 1 and self.read(name) == data else None
        return found[1] if found else None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.list`; sorted by the bytes of the names, a page of 1,000 at a time."""
        token: str | None = None
        while True:
            options = {"ContinuationToken": token} if token else {}
            page = call(self.describe(prefix), self.settings, partial(self._page, self._above + prefix, options))
            for entry in page.get("Contents", ()):
                name = entry["Key"][len(self._above) :]
                if name and not name.endswith("/"):
                    yield StoredObject(name, entry["Size"], entry["LastModified"], entry["ETag"])
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or not token:
                return

    def exists(self, name: str) -> bool:
        """See `ObjectStore.exists`."""
        return self.age(name) is not None

    def age(self, name: str) -> tuple[float, str] | None:
        """Seconds since an object was written, by the store's own clock, and its etag; None when there is none."""
        try:
            return call(self.describe(name), self.settings, partial(self._age, self._above + name))
        except MissingObjectError:
            return None

    def delete(self, name: str) -> None:
        """See `ObjectStore.delete`."""
        key = self._key(name)
        call(self.describe(name), self.settings, lambda s3: s3.delete_object(Bucket=self.bucket, Key=key))

    def check_bucket(self) -> None:
        """Refuse a bucket that is not there or may not be used.

        Raises
        ------
        StorageError
            with the reason
        """
        try:
            call(self.uri, self.settings, lambda s3: s3.head_bucket(Bucket=self.bucket))
        except MissingObjectError:
            raise StorageError(f"{self.uri}: there is no such bucket") from None

    def _changed(self, name: str) -> ChangedObjectError:
        return ChangedObjectError(f"{self.describe(name)} has changed meanwhile")

    def _age(self, key: str, client: Any) -> tuple[float, str]:
        answer = whole(client.head_object(Bucket=self.bucket, Key=key), "LastModified", "ETag")
        modified: datetime = answer["LastModified"]
        headers = whole(answer["ResponseMetadata"]["HTTPHeaders"], "date")
        return (parsedate_to_datetime(headers["date"]) - modified).total_seconds(), answer["ETag"]

    def _page(self, prefix: str, options: dict[str, str], client: Any) -> dict[str, Any]:
        page: dict[str, Any] = client.list_objects_v2(Bucket=self.bucket, Prefix=prefix, MaxKeys=PAGE_KEYS, **options)
        return whole(page, "IsTruncated")

    def _key(self, name: str) -> str:
        return self._above + self._check_name(name)


def _content_type(key: str) -> str:
    return CONTENT_TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


def _size_of(answer: dict[str, Any]) -> int | None:
    """Bytes of an object of which a range was asked for, as far as the answer says it."""
    size = str(answer.get("ContentRange", "")).rpartition("/")[2]
    return int(size) if size.isdigit() else None
