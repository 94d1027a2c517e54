"""Names of photos: a local path, a file:// URI for a path that is no valid text, or s3://bucket/key.

Photos that are no files of their own have the name of the file that holds them, and behind a # which one it is: of a
frame of a clip t=SECONDS, as in W3C's Media Fragments, of a member of an archive its name there, of a picture in a
Parquet file its row, from 0.
"""

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote_from_bytes, unquote_to_bytes

from facerecon_ray.errors import StorageError

PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".heic", ".heif", ".hif", ".avif", ".jxl"),
        *(".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"),
    )
)

CLIP_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi"),
        *(".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv"),
    )
)

ARCHIVE_SUFFIX = ".tar"
TABLE_SUFFIX = ".parquet"
_COMPRESSED_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")

_ENDS_OF_CLIPS = "|".join(map(re.escape, sorted(CLIP_SUFFIXES)))
_FRAGMENTS = (
    re.compile(rf"(.+?{re.escape(ARCHIVE_SUFFIX)})#(.+)", re.DOTALL | re.IGNORECASE),
    re.compile(rf"(.+?{re.escape(TABLE_SUFFIX)})#(\d+)", re.DOTALL | re.IGNORECASE),
    re.compile(rf"(.*(?:{_ENDS_OF_CLIPS}))#(t=\d+\.\d{{3}})", re.DOTALL | re.IGNORECASE),
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


def as_bytes(text: str) -> bytes:
    r"""UTF-8, with escapes for what is no text in a file's name: \udce9 for the byte e9, which JSON reads back."""
    return text.encode(errors="backslashreplace")


def scheme_of(uri: str) -> str | None:
    """Scheme of a URI in lower case, None for a plain path."""
    match = _SCHEME.match(uri)
    return match[1].lower() if match else None


def uri_of(path: Path) -> str:
    """URI of a local path: the path itself, or percent-encoded with file:// where it is not valid UTF-8, or would be
    taken for the name of something in another file.

    Linux allows any bytes in a file name, but the manifest's text is UTF-8.
    """
    text = str(path)
    if split_fragment(text)[1] or not _is_text(text):
        return "file://" + quote_from_bytes(os.fsencode(path))
    return text


def path_of(uri: str) -> Path:
    """Local path of a URI; the inverse of `uri_of`."""
    if scheme_of(uri) != "file":
        return Path(uri)
    return Path(os.fsdecode(unquote_to_bytes(uri[len("file://") :])))


def is_s3(uri: str) -> bool:
    """Whether a URI names something in an S3 bucket."""
    return scheme_of(uri) == "s3"


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of s3://bucket/key; keys are taken as they are, without percent-decoding.

    Raises
    ------
    StorageError
        when there is no valid bucket name in it
    """
    bucket, _, key = uri[len("s3://") :].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise StorageError(f"{uri}: no valid bucket name; write s3://bucket/prefix")
    return bucket, key


def name_of(uri: str) -> str:
    """Last part of a photo's path or key, of one in another file that file's and its own name there."""
    file, fragment = split_fragment(uri)
    name = file.rpartition("/")[2] if is_s3(file) else path_of(file).name
    return with_fragment(name, fragment)


def is_photo_name(name: str) -> bool:
    """Whether a file of that name is taken for a photo when a folder is searched."""
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def is_clip_name(name: str) -> bool:
    """Whether a file of that name is taken for a clip."""
    return PurePosixPath(name).suffix.lower() in CLIP_SUFFIXES


def is_archive_name(name: str) -> bool:
    """Whether a file of that name is taken for a tar archive, be it one that cannot be read as it is compressed."""
    return name.lower().endswith((ARCHIVE_SUFFIX, *_COMPRESSED_ARCHIVES))


def is_table_name(name: str) -> bool:
    """Whether a file of that name is taken for a Parquet file."""
    return name.lower().endswith(TABLE_SUFFIX)


def frame_uri(clip: str, seconds: float) -> str:
    """URI of the picture that a clip shows so many seconds after its beginning."""
    return f"{clip}#t={seconds:.3f}"


def with_fragment(file: str, fragment: str) -> str:
    """URI of what is in a file; of the file itself for ""."""
    return f"{file}#{fragment}" if fragment else file


def split_fragment(uri: str) -> tuple[str, str]:
    """The file that holds a photo, and which of the photos in it this is; of any other, the URI and ""."""
    if "#" in uri:
        for kind in _FRAGMENTS:
            if match := kind.fullmatch(uri):
                return match[1], match[2]
    return uri, ""


def split_frame(uri: str) -> tuple[str, float | None]:
    """Clip and seconds of a frame's URI; of any other, the URI and None."""
    clip, fragment = split_fragment(uri)
    return (clip, float(fragment.removeprefix("t="))) if fragment and is_clip_name(clip) else (uri, None)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
