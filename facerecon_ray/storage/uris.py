"""Names of photos: a local path, or a file:// URI for a path that is no valid text."""

import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def scheme_of(uri: str) -> str | None:
    """Scheme of a URI in lower case, None for a plain path."""
    match = _SCHEME.match(uri)
    return match[1].lower() if match else None


def uri_of(path: Path) -> str:
    """URI of a local path: the path itself, or percent-encoded with file:// where it is not valid UTF-8.

    Linux allows any bytes in a file name, but the manifest's text is UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "file://" + quote_from_bytes(os.fsencode(path))
    return str(path)


def path_of(uri: str) -> Path:
    """Local path of a URI; the inverse of `uri_of`."""
    if scheme_of(uri) != "file":
        return Path(uri)
    return Path(os.fsdecode(unquote_to_bytes(uri[len("file://") :])))
