"""Calls to S3: one client for each process, attempts until the time limit, and errors that people understand."""

import random
import time
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as NoConnectionError,
)
from botocore.parsers import ResponseParserError

from facerecon_ray.config.storage import S3Settings
from facerecon_ray.errors import MissingObjectError, StorageError, StoreUnavailableError
from facerecon_ray.waiting import PATIENCE, say

CONNECTIONS = 32
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0

_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_PASSING_CODES = {"SlowDown", "RequestTimeout", "ThrottlingException", "ConditionalRequestConflict"}
_MISSING_CODES = {"NoSuchKey", "404", "NotFound"}

_LONGEST_MESSAGE = 200
_PAUSE_BETWEEN_LINES = 60.0

_lock = Lock()
_said = float("-inf")

Result = TypeVar("Result")


def s3_client(settings: S3Settings) -> Any:
    """Client of this process for these settings."""
    with _lock:
        return _client(settings)


@cache
def _client(settings: S3Settings) -> Any:
    own_endpoint = settings.endpoint_url is not None
    config = Config(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_pool_connections=CONNECTIONS,
        # Attempts are counted in `call`, which also covers connections that break while an answer is read.
        retries={"total_max_attempts": 1, "mode": "standard"},
        s3={"addressing_style": "path"} if own_endpoint else {},
        # Stores other than AWS refuse checksums in trailers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session()
    region = settings.region or session.region_name or ("us-east-1" if own_endpoint else None)
    client = session.client("s3", endpoint_url=settings.endpoint_url, config=config, region_name=region)
    client.meta.events.register_last("before-call.s3", _send_at_once)
    return client


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Do not ask the server to confirm before contents are sent: botocore waits for ever if that answer breaks off."""
    params["headers"].pop("Expect", None)


def call(what: str, settings: S3Settings, attempt: Callable[[Any], Result]) -> Result:
    """Result of a call, tried again until the time limit while it fails for reasons that may pass.

    Parameters
    ----------
    what : names the object in errors
    attempt : takes the client; may run several times

    Raises
    ------
    MissingObjectError, StoreUnavailableError, StorageError
        by reason; a `ClientError` for a failed precondition (412) is passed on as it is
    """
    try:
        client = s3_client(settings)
    except (BotoCoreError, ValueError) as error:
        raise StorageError(f"{what}: AWS's own settings, its environment or files, are wrong: {error}") from None
    start = time.monotonic()
    deadline = start + settings.time_limit
    pause = FIRST_PAUSE
    while True:
        try:
            return attempt(client)
        except (NoCredentialsError, PartialCredentialsError):
            raise StorageError(
                f"{what}: no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or a profile, or a role of this machine"
            ) from None
        except ClientError as error:
            if status_of(error) == 412:
                raise
            if not _may_pass(error):
                raise _explained(what, error) from None
            reason = f"{status_of(error)} {code_of(error)} {_message_of(error)}".strip()
        except (NoConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError, OSError) as error:
            reason = type(error).__name__
        except BotoCoreError as error:
            raise StorageError(f"{what}: {error}") from None
        store = client.meta.endpoint_url
        if time.monotonic() + pause > deadline:
            raise StoreUnavailableError(
                f"{what}: the store at {store} did not answer properly for {settings.time_limit:g} seconds ({reason})"
            )
        if time.monotonic() - start > PATIENCE:
            _say_now_and_then(f"waiting for the store at {store} ({reason}), up to {settings.time_limit:g} seconds")
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


def whole(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    """An answer that has what it must have: HTTP headers that break off are taken for complete ones by the library."""
    if missing := [name for name in names if name not in answer]:
        raise ConnectionError(f"the answer broke off before {', '.join(missing)}")
    return answer


def status_of(error: ClientError) -> int:
    """HTTP status of a refusal."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    """S3's name of a refusal."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _message_of(error: ClientError) -> str:
    """The store's own words, in one line."""
    return " ".join(str(error.response.get("Error", {}).get("Message", "")).split())[:_LONGEST_MESSAGE]


def _say_now_and_then(line: str) -> None:
    """Many threads wait for the same store."""
    global _said
    with _lock:
        due = time.monotonic() - _said > _PAUSE_BETWEEN_LINES
        if due:
            _said = time.monotonic()
    if due:
        say(line)


def _may_pass(error: ClientError) -> bool:
    return status_of(error) in _PASSING_STATUS or code_of(error) in _PASSING_CODES


def _explained(what: str, error: ClientError) -> StorageError:
    code, status = code_of(error), status_of(error)
    if code == "NoSuchBucket":
        return StorageError(f"{what}: there is no such bucket")
    if code in _MISSING_CODES or status == 404:
        return MissingObjectError(f"{what} does not exist")
    if code == "InvalidObjectState":
        return StorageError(f"{what}: the object is archived (Glacier); restore it first, and try again")
    if status == 501:
        wanted = "an output needs conditional writes (If-None-Match, If-Match)"
        return StorageError(f"{what}: the store does not know what is asked of it ({_message_of(error)}); {wanted}")
    if status in (401, 403):
        return StorageError(f"{what}: access denied ({code}); check the credentials and the bucket's policy")
    return StorageError(f"{what}: the store refuses ({status} {code})")
