"""Progress of a job: a bar on a terminal, a line now and then where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import Progress, TextColumn

from facerecon_ray.jobs.progress import LINE_SECONDS, print_line, progress_bar
from facerecon_ray.pipeline.metrics import JobMeter

PHOTOS_AND_FACES = ("photos", "faces")
_SECONDS_FOR_A_RATE = 1.0


class Timeline:
    """What had arrived by when, for the page about the run; long runs get coarser samples, not more of them."""

    def __init__(self, seconds: float = 1.0, most: int = 240) -> None:
        self._seconds, self._most = seconds, most
        self._start = time.monotonic()
        self.samples: list[tuple[float, int, int, int]] = []

    def add(self, photos: int, faces: int, failed: int, last: bool = False) -> None:
        """Keep a sample (seconds since the start, photos, faces, failed) when it is time or the last."""
        now = time.monotonic() - self._start
        if not last and self.samples and now - self.samples[-1][0] < self._seconds:
            return
        self.samples.append((round(now, 1), photos, faces, failed))
        if len(self.samples) > self._most:
            self.samples = self.samples[1::2]
            self._seconds *= 2


class JobProgress:
    """Counts what arrives, shows it, and keeps the metrics that other programs read.

    Speed is measured from the first arrival on: what comes before is the start of the workers.

    Parameters
    ----------
    total : photos to do; None while they are still being listed, and set later
    nouns : what is counted, and what comes of it
    """

    def __init__(self, total: int | None, nouns: tuple[str, str] = PHOTOS_AND_FACES) -> None:
        self.total, self.nouns = total, nouns
        self.photos = self.faces = self.failed = 0
        self.timeline = Timeline()
        self._meter = JobMeter()
        self._first: tuple[float, int, int] | None = None

    def add(self, photos: int, faces: int, failed: int) -> None:
        """Count photos that are complete, their faces with a mesh, and their rows without one for a fault."""
        self.photos += photos
        self.faces += faces
        self.failed += failed
        if self._first is None:
            self._first = (time.monotonic(), self.photos, self.faces)
        self._meter.add(photos, faces, failed, self.left)
        self.timeline.add(self.photos, self.faces, self.failed)
        self.show()

    def close(self) -> None:
        """Keep the final counts, and show them where they are not shown yet."""
        self.timeline.add(self.photos, self.faces, self.failed, last=True)

    def show(self) -> None:
        """Show the counts."""
        raise NotImplementedError

    @property
    def left(self) -> int | None:
        """Photos still to do, None while their number is not known."""
        return None if self.total is None else self.total - self.photos

    def rates(self) -> tuple[float, float] | None:
        """Photos and faces a second, None while it is too early to say."""
        if self._first is None:
            return None
        since, photos, faces = self._first
        seconds = time.monotonic() - since
        if seconds < _SECONDS_FOR_A_RATE or self.photos == photos:
            return None
        return (self.photos - photos) / seconds, (self.faces - faces) / seconds

    def seconds_left(self) -> float | None:
        """Until the last photo, None while nobody can say."""
        rates = self.rates()
        return self.left / rates[0] if rates and self.left is not None else None


class BarProgress(JobProgress):
    """A bar that rich redraws."""

    def __init__(self, total: int | None, bar: Progress, nouns: tuple[str, str] = PHOTOS_AND_FACES) -> None:
        super().__init__(total, nouns)
        self._bar = bar
        self._task = bar.add_task("starting workers", total=total, parts="", failed="", speed="")

    def show(self) -> None:
        """Hand the counts to the bar."""
        failed = f"{self.failed} failed" if self.failed else ""
        self._bar.update(
            self._task,
            description=self.nouns[0],
            total=self.total,
            completed=self.photos,
            parts=f"{self.faces} {self.nouns[1]}",
            failed=failed,
            speed=self._speed(),
        )

    def close(self) -> None:
        super().close()
        self.show()

    def _speed(self) -> str:
        rates, left = self.rates(), self.seconds_left()
        speed = f"{rates[0]:.1f} {self.nouns[0]}/s" if rates else ""
        return f"{speed}, {timedelta(seconds=round(left))} left" if left else speed


class LineProgress(JobProgress):
    """A line every few seconds and one at the end, of NAME=VALUE pairs that a program can read."""

    def __init__(
        self, total: int | None, console: Console, seconds: float, nouns: tuple[str, str] = PHOTOS_AND_FACES
    ) -> None:
        super().__init__(total, nouns)
        self._console, self._seconds = console, seconds
        self._last_line = float("-inf")
        self._shown = -1

    def show(self) -> None:
        """Print a line when it is time."""
        if time.monotonic() - self._last_line >= self._seconds:
            self._print()

    def close(self) -> None:
        super().close()
        if self._shown != self.photos:
            self._print()

    def _print(self) -> None:
        self._last_line, self._shown = time.monotonic(), self.photos
        rates, left = self.rates(), self.seconds_left()
        values = {
            self.nouns[0]: self.photos,
            "total": self.total,
            self.nouns[1]: self.faces,
            "failed": self.failed,
            f"{self.nouns[0]}_per_second": round(rates[0], 2) if rates else None,
            "seconds_left": round(left) if left is not None else None,
        }
        print_line(self._console, values)


@contextmanager
def show_progress(
    total: int | None, console: Console, seconds: float = LINE_SECONDS, nouns: tuple[str, str] = PHOTOS_AND_FACES
) -> Iterator[JobProgress]:
    """Progress display for a number of photos, open for the duration.

    Parameters
    ----------
    total : photos to do, None while their number is not known
    console : where it is shown: as a bar on a terminal, as lines elsewhere
    seconds : between two lines
    nouns : what is counted, and what comes of it
    """
    if not console.is_terminal:
        progress = LineProgress(total, console, seconds, nouns)
        try:
            yield progress
        finally:
            progress.close()
        return
    fields = ("{task.fields[parts]}", "[red]{task.fields[failed]}", "{task.fields[speed]}")
    with progress_bar(console, *map(TextColumn, fields)) as bar:
        shown = BarProgress(total, bar, nouns)
        try:
            yield shown
        finally:
            shown.close()
