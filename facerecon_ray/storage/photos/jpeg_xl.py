"""JPEG XL files, decoded by the package pillow-jxl-plugin where it is installed."""

import io
from fractions import Fraction
from typing import Any

from pillow_jxl.JpegXLImagePlugin import JXLImageFile

CODESTREAM = b"\xff\x0a"
RATIOS = (Fraction(1), Fraction(12, 10), Fraction(4, 3), Fraction(3, 2), Fraction(16, 9), Fraction(5, 4), Fraction(2))
"""Width over height of pictures that store their height alone."""


class JpegXlFile(JXLImageFile):
    """A JPEG XL file that is decoded when it is loaded; the plugin itself decodes as soon as a file is opened."""

    def _open(self) -> None:
        assert self.fp is not None
        self._contents = self.fp.read()
        self._size = stored_size(self._contents)
        self._mode = "RGB"
        self.tile = []

    def load(self) -> Any:
        """Decode, upright: the decoder turns the picture itself, unless it is a recompressed JPEG."""
        if self._contents:
            self.fp = io.BytesIO(self._contents)
            self._contents = b""
            super()._open()
            if not self.jpeg:
                self.info.pop("exif", None)
        return super().load()


def stored_size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture before it is turned (SizeHeader of ISO/IEC 18181-1).

    Raises
    ------
    SyntaxError
        when the file has no picture's header
    """
    start = _codestream(data)
    if data[start : start + 2] != CODESTREAM:
        raise SyntaxError("no JPEG XL codestream in it")
    bits = int.from_bytes(data[start + 2 : start + 18], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side(eights: bool) -> int:
        return 8 * (take(5) + 1) if eights else take((9, 13, 18, 30)[take(2)]) + 1

    eights = bool(take(1))
    height = side(eights)
    ratio = take(3)
    return int(height * RATIOS[ratio - 1]) if ratio else side(eights), height


def _codestream(data: bytes) -> int:
    """Where the codestream begins in a file, bare or in boxes (ISO/IEC 18181-2)."""
    start = 0
    while not data.startswith(CODESTREAM) and start + 8 < len(data):
        size, name = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        head = 16 if size == 1 else 8
        if name in (b"jxlc", b"jxlp"):
            return start + head + (4 if name == b"jxlp" else 0)
        size = int.from_bytes(data[start + 8 : start + 16], "big") if size == 1 else size
        if size < head:
            break
        start += size
    return 0 if data.startswith(CODESTREAM) else len(data)
