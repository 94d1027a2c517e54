"""Toy jobs in processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import toy_stages

WAIT_SECONDS = 240.0


def driver(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A job in a process of its own: input, output, seconds a photo, log, settings."""
    return subprocess.Popen(
        [sys.executable, toy_stages.__file__, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def photos_begun(log: Path) -> int:
    """Photos that the crop stage has begun."""
    return len(log.read_text().splitlines()) if log.exists() else 0
