"""Where workers write how far they are, and what went wrong, for the driver to read: an actor of its own."""

from dataclasses import dataclass, field
from typing import Any

from ray.actor import ActorHandle

from facerecon_ray.cluster.keepers import beside_the_driver
from facerecon_ray.errors import FaceReconError


@dataclass
class Standing:
    """How far a training is.

    begun           whether a worker runs
    step            of the optimizer, done
    losses          parts of the loss, averages of the last steps
    rows_per_second of all workers together
    wait_share      share of the time in which the first worker waited for data
    skipped         rows that could not be decoded
    reason          why the last of them could not
    lines           what the driver is to print
    error           that ends the training, None while there is none
    """

    begun: bool = False
    step: int = 0
    losses: dict[str, float] = field(default_factory=dict)
    rows_per_second: float = 0.0
    wait_share: float = 0.0
    skipped: int = 0
    reason: str = ""
    lines: list[str] = field(default_factory=list)
    error: FaceReconError | None = None


class Board:
    """Keeps the standing; see `open_board`."""

    def __init__(self) -> None:
        self._standing = Standing()

    def progress(self, step: int, losses: dict[str, float], rows_per_second: float, wait_share: float) -> None:
        """The first worker's progress."""
        now = self._standing
        now.step, now.losses = step, losses
        now.rows_per_second, now.wait_share = rows_per_second, wait_share

    def begin(self) -> None:
        """A worker runs."""
        self._standing.begun = True

    def say(self, line: str) -> None:
        """A line for the driver to print."""
        self._standing.lines.append(line)

    def skip_row(self, reason: str) -> None:
        """Count a row that could not be decoded."""
        self._standing.skipped += 1
        self._standing.reason = reason

    def fail(self, error: FaceReconError) -> None:
        """Keep the first error that ends the training."""
        self._standing.error = self._standing.error or error

    def error(self) -> FaceReconError | None:
        """What has ended the training: workers that Ray starts again do not begin, and none writes any more."""
        return self._standing.error

    def standing(self) -> Standing:
        """Everything; lines are given out once."""
        now = self._standing
        lines, now.lines = now.lines, []
        return Standing(**{**vars(now), "lines": lines})


def open_board() -> "ActorHandle[Any]":
    """A board of its own; it stays where the driver is."""
    return beside_the_driver(Board).remote()
