"""How far a job is: a bar on a terminal, and where there is none lines of NAME=VALUE pairs that programs read too."""

from collections.abc import Callable, Mapping
from typing import Any

from rich import progress as rich
from rich.console import Console

from facerecon_ray.storage.starts import timestamp

LINE_SECONDS = 10.0
"""Between two lines."""

PROGRESS_EVENT = "progress"

Progress = Callable[[int, int], None]
"""Told how many are done, and of how many."""


def progress_line(values: Mapping[str, Any]) -> str:
    """NAME=VALUE pairs that `facerecon status` and other programs read; what is None is left out."""
    start = {"time": timestamp(), "event": PROGRESS_EVENT}
    return " ".join(f"{name}={value}" for name, value in {**start, **values}.items() if value is not None)


def print_line(console: Console, values: Mapping[str, Any]) -> None:
    """Print a line as it is, however long."""
    console.print(progress_line(values), markup=False, highlight=False, soft_wrap=True)


def progress_bar(console: Console, *columns: rich.ProgressColumn) -> rich.Progress:
    """A bar with what is done and how much of it, and more columns behind."""
    start = (
        rich.SpinnerColumn(),
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
    )
    return rich.Progress(*start, *columns, console=console)
