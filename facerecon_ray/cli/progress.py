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

    from facerecon_ray.pipeline.progress import LINE_SECONDS, progress_line

    last = float("-inf")

    def print_line(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            err.print(progress_line({noun: done, "total": total}), markup=False)

    if not err.is_terminal:
        yield print_line
        return
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn())
    with rich.Progress(*columns, rich.TimeElapsedColumn(), rich.TimeRemainingColumn(), console=err) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
