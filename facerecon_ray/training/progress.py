"""Progress of a training: a bar on a terminal, a line now and then where there is none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import TextColumn

from facerecon_ray.jobs.progress import LINE_SECONDS, print_line, progress_bar
from facerecon_ray.training.board import Standing
from facerecon_ray.training.run import Watch


@contextmanager
def show_training(steps: int, console: Console, seconds: float = LINE_SECONDS) -> Iterator[Watch]:
    """What is to be called with the standing now and then.

    Parameters
    ----------
    steps : in all
    console : where it is shown
    seconds : between two lines, where there is no terminal
    """
    speed = _Speed()
    if not console.is_terminal:
        lines = _Lines(steps, console, seconds, speed)
        yield lines.show
        return
    with progress_bar(console, TextColumn("{task.fields[rest]}")) as bar:
        task = bar.add_task("starting workers", total=steps, rest="")

        def show(now: Standing) -> None:
            for line in now.lines:
                bar.console.print(line, markup=False, highlight=False)
            if now.step == 0:
                return
            left = speed.seconds_left(now.step, steps)
            parts = [f"loss {sum(now.losses.values()):.4g}", f"{now.rows_per_second:.0f} rows/s"]
            parts += [f"{timedelta(seconds=round(left))} left"] if left is not None else []
            parts += [f"{now.skipped} damaged rows left out"] if now.skipped else []
            bar.update(task, description="steps", completed=now.step, rest=", ".join(parts))

        yield show


class _Speed:
    """Steps a second since the first that was seen."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None

    def seconds_left(self, step: int, steps: int) -> float | None:
        now = time.monotonic()
        if self._first is None:
            self._first = now, step
        since, begun = self._first
        return (steps - step) * (now - since) / (step - begun) if step > begun else None


class _Lines:
    """NAME=VALUE pairs that a program can read."""

    def __init__(self, steps: int, console: Console, seconds: float, speed: _Speed) -> None:
        self._steps, self._console, self._seconds, self._speed = steps, console, seconds, speed
        self._last, self._shown = float("-inf"), 0

    def show(self, now: Standing) -> None:
        for line in now.lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        due = time.monotonic() - self._last >= self._seconds or now.step == self._steps
        if not due or now.step == self._shown:
            return
        self._last, self._shown = time.monotonic(), now.step
        left = self._speed.seconds_left(now.step, self._steps)
        values = {
            "step": now.step,
            "total": self._steps,
            "loss": f"{sum(now.losses.values()):.4g}",
            "rows_per_second": round(now.rows_per_second, 1),
            "wait_share": round(now.wait_share, 3),
            "skipped": now.skipped or None,
            "seconds_left": round(left) if left is not None else None,
        }
        print_line(self._console, values)
