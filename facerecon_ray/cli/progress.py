"""A bar on a terminal, and a line now and then where there is none, for jobs that count one thing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from facerecon_ray.cli.app import err


@contextmanager
def showing(verb: str, noun: str) -> Iterator[Callable[[int, int], None]]:
    """What is told how many things are done, of how many.

    Parameters
    ----------
    verb : what the job does, for the bar
    noun : what it counts, for the lines
    """
    from rich import progress as rich

    from facerecon_ray.jobs.progress import LINE_SECONDS, print_line, progress_bar

    last = float("-inf")

    def show_line(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            print_line(err, {noun: done, "total": total})

    if not err.is_terminal:
        yield show_line
        return
    with progress_bar(err, rich.TimeElapsedColumn(), rich.TimeRemainingColumn()) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
