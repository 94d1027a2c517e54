"""The formats of photos: which one a file has, what decodes it, and how files are read that PIL alone refuses."""

import importlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from PIL import ImageFile

from facerecon_ray.errors import PhotoError

Reading = Callable[[], ImageFile.ImageFile]
"""Reads a file's header, so that its size is known; the picture's `load` then decodes it."""

HERE = f"{__package__}."

HEIF_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1 miaf".split())
AVIF_BRANDS = frozenset(b"avif avis avio".split())
JXL_SIGNATURES = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class PhotoFormat:
    """A format of photos.

    name       as people write it
    accepts    whether a file with these first bytes has the format
    package    what must be installed to decode it; "" when that comes with the product
    module     where `opener` is
    opener     PIL's class or function that opens a file of the format
    """

    name: str
    accepts: Callable[[bytes], bool]
    module: str
    opener: str
    package: str = ""

    def readings(self, data: bytes) -> Iterator[Reading]:
        """Ways to read a file, the usual one first; each other is for files on which those before it fail.

        Raises
        ------
        PhotoError
            when the package that decodes the format is not installed
        """
        try:
            usual = _opener(self.module, self.opener)
        except ImportError:
            raise PhotoError(
                f"{self.name} photos are decoded by the package {self.package}, which is not installed here: "
                f"pip install {self.package}, on every machine of a cluster"
            ) from None
        yield lambda: usual(data)
        if self.name == "PNG":
            for unneeded in (_is_text, _is_ancillary):
                shorter = _without_chunks(data, unneeded)
                if len(shorter) < len(data):
                    yield partial(usual, shorter)
        if self.name == "TIFF":
            yield partial(_opener(HERE + "deep_tiff", "DeepTiff"), data)


def format_of(data: bytes) -> PhotoFormat:
    """The format that the first bytes of a file tell; its name is not looked at.

    Raises
    ------
    PhotoError
        when it is none of `FORMATS`
    """
    found = next((kind for kind in FORMATS if kind.accepts(data)), None)
    if found is None:
        *names, last = dict.fromkeys(kind.name for kind in FORMATS)
        raise PhotoError(f"the file is not a {', '.join(names)} or {last} image")
    return found


def is_picture(data: bytes) -> bool:
    """Whether data are a picture; a name may begin as a BMP or a GIF does, but has no zero bytes in it."""
    return b"\0" in data and any(kind.accepts(data) for kind in FORMATS)


def _opener(module: str, name: str) -> Callable[[bytes], ImageFile.ImageFile]:
    opener = getattr(importlib.import_module(module), name)
    return lambda data: opener(io.BytesIO(data), "")


def _brands(data: bytes) -> set[bytes]:
    """Kinds of file that an ISO container says it can be read as, the major one among them."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4], "big"), 512)]
    return {box[i : i + 4] for i in (0, *range(8, len(box), 4))}


def _is_bare_bitmap(data: bytes) -> bool:
    """Whether a file begins with one of BMP's later picture headers, with its number of planes, 1."""
    return int.from_bytes(data[:4], "little") in (40, 108, 124) and data[12:14] == b"\1\0"


def _is_text(chunk: bytes) -> bool:
    """PIL refuses text of over 1 MB, and damaged text, and with it the picture."""
    return chunk in (b"tEXt", b"zTXt", b"iTXt")


def _is_ancillary(chunk: bytes) -> bool:
    """Whether the pixels can be understood without a chunk."""
    return chunk[:1].islower() and chunk != b"tRNS"


def _without_chunks(data: bytes, unneeded: Callable[[bytes], bool]) -> bytes:
    """A PNG file without some of its chunks."""
    kept = [data[: len(PNG_SIGNATURE)]]
    start = len(PNG_SIGNATURE)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if not unneeded(data[start + 4 : start + 8]):
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


FORMATS = (
    PhotoFormat("JPEG", lambda data: data.startswith(b"\xff\xd8\xff"), "PIL.JpegImagePlugin", "JpegImageFile"),
    PhotoFormat(
        "HEIC",
        lambda data: bool(_brands(data) & HEIF_BRANDS and not _brands(data) & AVIF_BRANDS),
        "pi_heif",
        "HeifImageFile",
        package="pi-heif",
    ),
    PhotoFormat("PNG", lambda data: data.startswith(PNG_SIGNATURE), HERE + "deep_png", "DeepPng"),
    PhotoFormat(
        "WebP",
        lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
        "PIL.WebPImagePlugin",
        "WebPImageFile",
    ),
    PhotoFormat("AVIF", lambda data: bool(_brands(data) & AVIF_BRANDS), "PIL.AvifImagePlugin", "AvifImageFile"),
    PhotoFormat(
        "JPEG XL",
        lambda data: data.startswith(JXL_SIGNATURES),
        HERE + "jpeg_xl",
        "JpegXlFile",
        package="pillow-jxl-plugin",
    ),
    PhotoFormat("TIFF", lambda data: data.startswith(TIFF_SIGNATURES), HERE + "deep_tiff", "open_tiff"),
    PhotoFormat("BMP", lambda data: data.startswith(b"BM"), "PIL.BmpImagePlugin", "BmpImageFile"),
    PhotoFormat("BMP", _is_bare_bitmap, "PIL.BmpImagePlugin", "DibImageFile"),
    PhotoFormat("GIF", lambda data: data.startswith((b"GIF87a", b"GIF89a")), "PIL.GifImagePlugin", "GifImageFile"),
)
