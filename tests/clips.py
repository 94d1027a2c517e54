"""Clips for tests: pictures with a number in their colours, and heads that turn."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def write_clip(
    path: Path,
    pictures: Sequence[np.ndarray] | np.ndarray,
    rate: float = 10,
    codec: str = "libx264",
    rotation: int = 0,
    colours: int | None = None,
    container: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write pictures (H, W, 3) uint8 as a clip with so many a second, in the format of the path's suffix."""
    with av.open(str(path), "w", format=container, container_options=options or {}) as file:
        stream: Any = file.add_stream(codec, rate=Fraction(rate))
        stream.pix_fmt, stream.bit_rate = "yuv420p", 2_000_000
        stream.height, stream.width = pictures[0].shape[:2]
        if rotation:
            stream.set_display_rotation(rotation)
        if colours is not None:
            stream.codec_context.colorspace = colours
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if colours is not None:
                frame = frame.reformat(format="yuv420p", dst_colorspace=colours)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def numbered(count: int, height: int = 96, width: int = 128) -> list[np.ndarray]:
    """Pictures whose brightness tells their number, with a red upper left corner."""
    pictures = np.zeros((count, height, width, 3), np.uint8)
    pictures[:] = (5 * np.arange(count))[:, None, None, None]
    pictures[:, : height // 2, : width // 2] = (220, 30, 30)
    return list(pictures)


def number_of(picture: np.ndarray) -> int:
    """Number of a picture."""
    return round(float(picture[-20:, -20:].mean()) / 5)
