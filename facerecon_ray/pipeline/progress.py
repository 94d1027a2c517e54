"""Progress of a job: a bar on a terminal, a line now and then where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

_LINE_SECONDS = 10.0
_SECONDS_FOR_A_RATE = 1.0


class JobProgress:
    """Counts what arrives and shows it.

    Speed is measured from the first arrival on: what comes before is the start of the workers.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.photos = self.faces = self.failed = 0
        self._first: tuple[float, int, int] | None = None

    def add(self, photos: int, faces: int, failed: int) -> None:
        """Count photos that are complete, their faces with a mesh, and their rows without one for a fault."""
        self.photos += photos
        self.faces += faces
        self.failed += failed
        if self._first is None:
            self._first = (time.monotonic(), self.photos, self.faces)
        self.show()

    def show(self) -> None:
        """Show the counts."""
        raise NotImplementedError

    def rates(self) -> tuple[float, float] | None:
        """Photos and faces a second, None while it is too early to say."""
        if self._first is None:
            return None
        since, photos, faces = self._first
        seconds = time.monotonic() - since
        if seconds < _SECONDS_FOR_A_RATE or self.photos == photos:
            return None
        return (self.photos - photos) / seconds, (self.faces - faces) / seconds

    def speed(self) -> str:
        """Photos a second and the time left, as text."""
        rates = self.rates()
        if rates is None:
            return ""
        left = f", {_clock((self.total - self.photos) / rates[0])} left" if self.photos < self.total else ""
        return f"{rates[0]:.1f} photos/s{left}"


class BarProgress(JobProgress):
    """A bar that rich redraws."""

    def __init__(self, total: int, bar: Progress) -> None:
        super().__init__(total)
        self._bar = bar
        self._task = bar.add_task("starting workers", total=total, faces=0, failed="", speed="")

    def show(self) -> None:
        """Hand the counts to the bar."""
        failed = f"{self.failed} failed" if self.failed else ""
        self._bar.update(
            self._task,
            description="photos",
            completed=self.photos,
            faces=self.faces,
            failed=failed,
            speed=self.speed(),
        )


class LineProgress(JobProgress):
    """A line every few seconds, and one at the end."""

    def __init__(self, total: int, console: Console, seconds: float = _LINE_SECONDS) -> None:
        super().__init__(total)
        self._console, self._seconds = console, seconds
        self._last_line = float("-inf")

    def show(self) -> None:
        """Print a line when it is time."""
        if time.monotonic() - self._last_line < self._seconds and self.photos < self.total:
            return
        self._last_line = time.monotonic()
        counts = f"{self.photos}/{self.total} photos, {self.faces} faces, {self.failed} failed"
        line = ", ".join(filter(None, (counts, self.speed())))
        self._console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def show_progress(total: int, console: Console) -> Iterator[JobProgress]:
    """Progress display for a number of photos, open for the duration."""
    if not console.is_terminal:
        yield LineProgress(total, console)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[faces]} faces"),
        TextColumn("[red]{task.fields[failed]}"),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield BarProgress(total, bar)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
