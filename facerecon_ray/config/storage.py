"""Where things are stored, and how object storage is reached.

Credentials are no settings: they come from the standard AWS chain.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes, urlsplit

from pydantic import BeforeValidator, Field, field_validator

from facerecon_ray.config.settings import Names, Settings, home_expanded

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


def _location(value: Any) -> Any:
    if not isinstance(value, str | Path) or not str(value):
        return value
    text = str(value)
    scheme = found[1].lower() if (found := _SCHEME.match(text)) else None
    rest = text[len(scheme) + 3 :] if scheme else text
    if scheme == "s3":
        return "s3://" + rest.rstrip("/")
    if scheme == "file":
        rest = os.fsdecode(unquote_to_bytes(rest))
    elif scheme:
        raise ValueError(f"{scheme}:// is not supported; name a folder or s3://bucket/prefix")
    return str(home_expanded(Path(rest)).absolute())


Location = Annotated[str, BeforeValidator(_location), Field(min_length=1), Names.PLACE]
"""A folder, as an absolute path, or s3://bucket/prefix."""


def _from_environment(*names: str) -> str | None:
    return next((value for name in names if (value := os.environ.get(name))), None)


class S3Settings(Settings):
    """How S3 and stores that speak its language are reached.

    What the environment says is read when the settings are made, so that they mean the same store in every process
    that they are handed to.
    """

    endpoint_url: str | None = Field(default=None, validate_default=True)
    """Address of an S3-compatible store; without one, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself."""
    region: str | None = Field(default=None, validate_default=True)
    """Region of the store; without one, AWS_REGION, AWS_DEFAULT_REGION, or what the AWS profile says."""
    time_limit: float = Field(default=120.0, gt=0.0)
    """Seconds for one object, all attempts together; with growing pauses, an attempt follows every failure that may
    pass (no answer, a broken connection, 429, 500 to 504)."""
    connect_timeout: float = Field(default=5.0, gt=0.0)
    """Seconds to wait for a connection, in one attempt."""
    read_timeout: float = Field(default=20.0, gt=0.0)
    """Seconds without a byte of the answer, in one attempt."""

    @field_validator("region")
    @classmethod
    def _find_region(cls, region: str | None) -> str | None:
        return region or _from_environment(*REGION_VARIABLES)

    @field_validator("endpoint_url")
    @classmethod
    def _find_endpoint(cls, url: str | None) -> str | None:
        url = url or _from_environment(*ENDPOINT_VARIABLES)
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write http://HOST:PORT or https://HOST")
        if parts.username or parts.password:
            raise ValueError("an address holds no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        return url.rstrip("/")
