"""One start of a job, as the record of its output keeps it: when it began, how it ended, how long it took."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, Field


def timestamp() -> str:
    """Now, UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Start(BaseModel):
    """A job that was stopped and continued has several."""

    started: str = Field(default_factory=timestamp)
    finished: str | None = None
    outcome: Literal["running", "finished", "stopped", "failed", "killed"] = "running"
    seconds: float = 0.0

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note how what is done in the block ends, and how long it took."""
        start = time.monotonic()
        try:
            yield
            self.outcome = "finished"
        except BaseException as error:
            self.outcome = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            self.seconds, self.finished = round(time.monotonic() - start, 3), timestamp()


AnyStart = TypeVar("AnyStart", bound=Start)


def with_start(earlier: Sequence[AnyStart], now: AnyStart) -> list[AnyStart]:
    """All starts when another one begins: of the earlier, those that never said how they ended were killed."""
    killed = {"outcome": "killed"}
    return [*(run.model_copy(update=killed) if run.outcome == "running" else run for run in earlier), now]
