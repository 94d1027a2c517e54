"""While something else is done: a line that says what a long wait is for, and a look at it now and then."""

import logging
import threading
from collections.abc import Callable, Iterator
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


@contextmanager
def repeated(look: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function in a thread every so many seconds while what is in the block is done, and once at its end."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(seconds):
            look()

    watcher = threading.Thread(target=loop, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()
        look()
