"""Tar archives, as WebDataset and img2dataset write them: which photos are in one, and where.

Nothing is unpacked: names of members are names and never paths. Between their headers nothing is read.
"""

import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from facerecon_ray.errors import PhotoError
from facerecon_ray.storage.input_files import is_hidden
from facerecon_ray.storage.photos.known_photos import Span
from facerecon_ray.storage.photos.opened_file import OpenedFile
from facerecon_ray.storage.uris import is_photo_name

_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
}
_BLOCK = 512
_NO_TEXT = re.compile("[\udc80-\udcff]")


class Member(NamedTuple):
    """A photo in an archive.

    label  its name there, and #2, #3 behind the name of one that comes again; bytes that are no text as %E9
    span   where its bytes are; None where they are not in one piece
    """

    label: str
    span: Span | None


def members(opened: OpenedFile) -> Iterator[Member | None]:
    """Photos of an archive, in its order, and None for each other file in it.

    What is a photo is decided by the rules for files of folders: names that end as photos' do and are not hidden.
    Of links those count that tar makes of files with several names.

    Raises
    ------
    PhotoError
        when it is no archive that can be read, and after the last photo when it breaks off or is damaged
    ChangedObjectError, OSError, StorageError
        when it cannot be read on
    """
    file, size = opened.file, opened.size
    start = file.read(_BLOCK)
    for magic, (name, command) in _COMPRESSED.items():
        if start.startswith(magic):
            raise PhotoError(
                f"the archive is compressed ({name}), so no photo in it can be read alone: unpack it with {command}, "
                "which leaves a .tar file"
            )
    if not start:
        raise PhotoError("the archive is empty")
    file.seek(0)
    try:
        archive = tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape")
    except tarfile.TarError:
        raise PhotoError("the file is no tar archive") from None
    spans: dict[str, Span | None] = {}
    for info in _headers(archive, file, size):
        name = _label(info.name)
        if info.isdir():
            continue
        if not (info.isreg() or info.islnk()) or not is_photo_name(name) or _is_hidden(name):
            yield None
            continue
        label = _unused(name, spans)
        if info.islnk():
            spans[label] = spans.get(_label(info.linkname))
        elif info.issparse():
            spans[label] = None
        else:
            spans[label] = Span(info.offset_data, info.size, opened.version)
        yield Member(label, spans[label])


def _headers(archive: tarfile.TarFile, file: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    """Headers of the members that are there as a whole."""
    last = ""
    try:
        while (info := archive.next()) is not None:
            # The library keeps all of them otherwise.
            archive.members.clear()  # type: ignore[attr-defined]
            if info.isreg() and not info.issparse() and info.offset_data + info.size > size:
                raise PhotoError(f"the archive is truncated: it ends within {_label(info.name)}")
            last = _label(info.name)
            yield info
    except tarfile.TarError:
        pass
    # The library takes a header that it does not understand for the end, as it does the two empty blocks that are it.
    file.seek(min(archive.offset, size))
    header = file.read(_BLOCK)
    if header.strip(b"\0"):
        fault = "damaged" if len(header) == _BLOCK else "truncated"
        raise PhotoError(f"the archive is {fault} at byte {archive.offset:,}, after {last}")


def _label(name: str) -> str:
    """A name without the ./ at its start that `tar c .` writes, as text."""
    return _NO_TEXT.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name.removeprefix("./"))


def _is_hidden(label: str) -> bool:
    return is_hidden("/".join(part for part in label.split("/") if part not in (".", "..")))


def _unused(label: str, used: dict[str, Span | None]) -> str:
    number, unused = 1, label
    while unused in used:
        number += 1
        unused = f"{label}#{number}"
    return unused
