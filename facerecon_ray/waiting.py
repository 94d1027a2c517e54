"""Says what a long wait is for: a line on stderr, or in the log of a worker."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 10.0
"""Seconds of silence that nobody wonders about."""

# Without a handler of the program that imports this package, Python prints warnings on stderr.
_log = logging.getLogger("facerecon_ray")


def say(line: str) -> None:
    """Show a line to whoever started the job."""
    _log.warning("%s", line)


@contextmanager
def announced(what: str, seconds: float = PATIENCE) -> Iterator[None]:
    """Say "waiting for ..." when what is done in the block takes longer.

    Parameters
    ----------
    what : is waited for, in words that follow "waiting for"
    seconds : of silence
    """
    timer = threading.Timer(seconds, say, [f"waiting for {what}"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
