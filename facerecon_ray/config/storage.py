"""Where things are stored, and how object storage is reached.

Credentials are no settings: they come from the standard AWS chain.
"""

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_validator

from facerecon_ray.config.settings import Settings, home_expanded

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def _location(value: Any) -> Any:
    if isinstance(value, str) and value.lower().startswith("s3://"):
        return "s3://" + value[len("s3://") :].rstrip("/")
    return str(home_expanded(Path(value)).absolute()) if isinstance(value, str | Path) and str(value) else value


Location = Annotated[str, BeforeValidator(_location), Field(min_length=1)]
"""A folder, as an absolute path, or s3://bucket/prefix."""


class S3Settings(Settings):
    """How S3 and stores that speak its language are reached."""

    endpoint_url: str | None = None
    """Address of an S3-compatible store; without one, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or AWS itself."""
    time_limit: float = Field(default=120.0, gt=0.0)
    """Seconds for one object, all attempts together; with growing pauses, an attempt follows every failure that may
    pass (no answer, a broken connection, 429, 500 to 504)."""
    connect_timeout: float = Field(default=5.0, gt=0.0)
    """Seconds to wait for a connection, in one attempt."""
    read_timeout: float = Field(default=20.0, gt=0.0)
    """Seconds without a byte of the answer, in one attempt."""

    @field_validator("endpoint_url")
    @classmethod
    def _check_endpoint(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write http://HOST:PORT or https://HOST")
        if parts.username or parts.password:
            raise ValueError("an address holds no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        return url.rstrip("/")

    def resolved(self) -> "S3Settings":
        """The same with the endpoint of the environment written out, for processes that do not share it."""
        from_environment = next((url for name in ENDPOINT_VARIABLES if (url := os.environ.get(name))), None)
        if self.endpoint_url or not from_environment:
            return self
        return S3Settings.model_validate({**self.model_dump(), "endpoint_url": from_environment})
