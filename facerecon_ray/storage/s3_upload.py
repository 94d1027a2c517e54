"""Objects of a bucket that are written in parts: they are there when all of their parts are."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import MissingObjectError, StorageError
from facerecon_ray.storage.s3_client import call, whole

PART_BYTES = 16 << 20


def parts_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces as parts of an upload, all but the last of the size that S3 asks for at least."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= PART_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def upload(bucket: str, key: str, kind: str, parts: Iterable[bytes], settings: S3Settings) -> None:
    """Write an object in parts, one after the other; nothing is left of it where that fails.

    Parameters
    ----------
    bucket, key : of the object
    kind : content type
    parts : at least 5 MB each but the last
    """
    target = {"Bucket": bucket, "Key": key}
    where = f"s3://{bucket}/{key}"

    def begin(client: Any) -> str:
        return str(whole(client.create_multipart_upload(**target, ContentType=kind), "UploadId")["UploadId"])

    target["UploadId"] = call(where, settings, begin)
    try:
        tags = [_upload_part(target, number, part, settings) for number, part in enumerate(parts, 1)]
        _complete(target, tags, settings)
    except BaseException:
        with suppress(StorageError):
            _abort(target, settings)
        raise


def abort_uploads(bucket: str, prefix: str, settings: S3Settings) -> None:
    """Delete the parts of uploads that never ended, the first 1,000: they are kept, and paid for, unseen.

    Raises
    ------
    StorageError
        when these may not be listed
    """

    def listed(client: Any) -> list[dict[str, Any]]:
        return list(client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", ()))

    for found in call(f"s3://{bucket}/{prefix}", settings, listed):
        _abort({"Bucket": bucket, "Key": found["Key"], "UploadId": found["UploadId"]}, settings)


def _upload_part(target: dict[str, str], number: int, part: bytes, settings: S3Settings) -> dict[str, Any]:
    def attempt(client: Any) -> str:
        return str(whole(client.upload_part(**target, PartNumber=number, Body=part), "ETag")["ETag"])

    return {"PartNumber": number, "ETag": call(_where(target), settings, attempt)}


def _complete(target: dict[str, str], tags: list[dict[str, Any]], settings: S3Settings) -> None:
    attempts = 0

    def attempt(client: Any) -> None:
        nonlocal attempts
        attempts += 1
        try:
            whole(client.complete_multipart_upload(**target, MultipartUpload={"Parts": tags}), "ETag")
        except client.exceptions.NoSuchUpload:
            # The first attempt may have succeeded although its answer was lost.
            if attempts == 1:
                raise
            client.head_object(Bucket=target["Bucket"], Key=target["Key"])

    call(_where(target), settings, attempt)


def _abort(target: dict[str, str], settings: S3Settings) -> None:
    with suppress(MissingObjectError):
        call(_where(target), settings, lambda s3: s3.abort_multipart_upload(**target))


def _where(target: dict[str, str]) -> str:
    return f"s3://{target['Bucket']}/{target['Key']}"
