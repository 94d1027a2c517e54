"""Clips: at which moments there is something to see, and the picture of a moment.

A moment is counted in seconds from the clip's first picture, and shows the picture that is on the screen then.
Pictures are decoded one after the other, and of the file no more is in memory than the demuxer reads ahead.
"""

from collections.abc import Iterator
from typing import BinaryIO

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace

from facerecon_ray.errors import PhotoError

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv,ogg"
"""FFmpeg's names of the formats that are read; playlists, which would make it open other files, are not among them."""

TAIL = 5.0
"""Seconds before the end that a clip states in which its last picture is looked for."""

MISSING = 2.0
"""Seconds that a clip may be shorter than it states; more means that its end is lost."""

AHEAD = 5.0
"""Seconds up to which going on decoding is cheaper than going to the key frame before a moment."""

BEFORE = 10.0
"""Seconds before a moment, and before the first, at which a key frame is looked for where there is none at it:
containers know their places only roughly."""

ROUNDING = 0.0005
"""Seconds by which a moment may be rounded."""

MOST_FRAMES = 1_000_000
"""Of a clip: one that states more is damaged."""

COLOURS_UNSTATED = 2
"""FFmpeg's number for a clip that does not say how its colours are coded."""

HD_LINES = 720
"""From so many lines on, clips that do not say so have the colours of BT.709, and smaller ones those of BT.601."""


class Clip:
    """An opened clip.

    Parameters
    ----------
    file : its contents
    max_pixels : of a picture

    Raises
    ------
    PhotoError
        when it is damaged, of a kind that is not supported, or has no pictures
    """

    def __init__(self, file: BinaryIO, max_pixels: int) -> None:
        self._file = file
        if not file.seek(0, 2):
            raise PhotoError("the file is empty")
        file.seek(0)
        try:
            self._container = av.open(file, "r", options={"format_whitelist": CONTAINERS})
        except FFmpegError as error:
            raise PhotoError(_reason(error)) from None
        self._max_pixels = max_pixels
        stream = self._container.streams.best("video")
        if stream is None or stream.codec_context is None or stream.disposition & stream.disposition.attached_pic:
            self.close()
            raise PhotoError("there is no video in the file that can be decoded")
        self._stream = self._container.streams.video[self._container.streams.video.index(stream)]
        # Workers share out the CPUs.
        self._stream.codec_context.thread_count = 1
        first = self._stream.start_time
        self._start = float(first * self._stream.time_base) if first is not None and self._stream.time_base else 0.0
        self._decoded: Iterator[VideoFrame] = iter(())
        self._shown: VideoFrame | None = None
        self._next: VideoFrame | None = None

    def close(self) -> None:
        """Close it and its file."""
        self._container.close()
        self._file.close()

    def moments(self, a_second: float) -> tuple[Iterator[float], str]:
        """So many moments a second, from the first picture to the last; and what is wrong with the clip, if anything.

        Raises
        ------
        PhotoError
            when it has no pictures
        """
        last, fault = self._last()
        if last < self._start:
            raise PhotoError(fault or "there is no picture in the clip")
        count = int((last - self._start + ROUNDING) * a_second) + 1
        if count > MOST_FRAMES:
            raise PhotoError(f"the clip states a length of {last - self._start:,.0f} seconds; it is damaged")
        return (round(number / a_second, 3) for number in range(count)), fault

    def picture(self, moment: float) -> np.ndarray:
        """(H, W, 3) uint8 RGB, upright, what the clip shows at a moment; cheapest in the order of time.

        Raises
        ------
        PhotoError
            when the clip has no picture there, or it cannot be decoded
        """
        wanted = self._start + moment + ROUNDING
        reached = self._shown.time if self._shown is not None else None
        if reached is None or not reached <= wanted <= reached + AHEAD:
            self._go_to(wanted)
        while self._next is not None and self._next.time <= wanted:
            self._shown, self._next = self._next, next(self._decoded, None)
        # Before its first picture a clip shows that one.
        frame = self._shown or self._next
        if frame is None:
            raise PhotoError("no picture of the clip can be decoded at this moment")
        if self._next is None and wanted > frame.time + MISSING:
            raise PhotoError(f"the clip ends before, after {frame.time - self._start:.1f} seconds")
        return self._upright(frame)

    def _last(self) -> tuple[float, str]:
        """Time of the last picture, -inf where there is none, and what is wrong."""
        if self._container.duration is None:
            return self._last_after(None)[0], ""
        start = (self._container.start_time or 0) / av.time_base
        stated = self._container.duration / av.time_base
        last, end = self._last_after(start + stated - TAIL)
        if last < self._start or end < start + stated - MISSING:
            last, end = self._last_after(None)
        is_cut = end < start + stated - MISSING
        return last, f"the clip breaks off after {max(end - start, 0):.1f} of {stated:.1f} seconds" if is_cut else ""

    def _last_after(self, since: float | None) -> tuple[float, float]:
        """Times of the last picture and of the last piece of anything, of those from a time on or of all."""
        last = end = float("-inf")
        try:
            self._container.seek(int((since if since is not None else 0.0) * av.time_base))
            for packet in self._container.demux():
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is None or packet.time_base is None:
                    continue
                time = float(stamp * packet.time_base)
                end = max(end, time)
                if packet.stream_index == self._stream.index:
                    last = max(last, time)
        except FFmpegError:
            pass  # of a damaged clip the part before the damage counts
        return last, end

    def _go_to(self, wanted: float) -> None:
        """Decode from a key frame before a time on, or from the first one."""
        for start in (wanted, wanted - BEFORE, self._start - BEFORE, self._start):
            self._shown = self._next = None
            try:
                self._container.seek(int(start * av.time_base))
            except FFmpegError:
                continue
            self._decoded = self._decode()
            self._next = next(self._decoded, None)
            if self._next is not None and self._next.time <= max(wanted, self._start):
                return

    def _decode(self) -> Iterator[VideoFrame]:
        """Frames from where the container is; damaged ones are passed over."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else self._stream.codec_context.decode(packet)
            except FFmpegError as error:
                if isinstance(error, av.error.InvalidDataError):
                    continue
                return
            if packet is None:
                return
            yield from (frame for frame in frames if frame.pts is not None and not frame.is_corrupt)

    def _upright(self, frame: VideoFrame) -> np.ndarray:
        width, height = frame.width, frame.height
        if width * height > self._max_pixels:
            raise PhotoError(
                f"the clip has pictures of {width * height:,} pixels, more than read.max_pixels = {self._max_pixels:,}"
            )
        longer = float(self._stream.sample_aspect_ratio or 1)
        width, height = (round(width * longer), height) if longer > 1 else (width, round(height / longer))
        is_hd = frame.colorspace == COLOURS_UNSTATED and frame.height >= HD_LINES
        colours = Colorspace.ITU709 if is_hd else None
        try:
            pixels = frame.to_ndarray(format="rgb24", width=width, height=height, src_colorspace=colours)
        except FFmpegError as error:
            raise PhotoError(_reason(error)) from None
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


def _reason(error: FFmpegError) -> str:
    return f"the clip is damaged or of a kind that is not supported ({error.strerror})"
