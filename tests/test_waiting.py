import subprocess
import sys
import threading
import time

import pytest

from facerecon_ray.waiting import announced, repeated


def test_only_a_long_wait_is_said(caplog: pytest.LogCaptureFixture):
    with announced("the store", seconds=0.1):
        pass
    with announced("the lock", seconds=0.05):
        deadline = time.monotonic() + 10
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
    assert caplog.messages == ["waiting for the lock"]


def test_it_is_said_on_stderr():
    script = "from facerecon_ray.waiting import say; say('waiting for Ray')"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("", "waiting for Ray\n")


def test_what_is_looked_at_now_and_then_is_looked_at_once_more_at_the_end() -> None:
    looks: list[int] = []
    with repeated(lambda: looks.append(threading.get_ident()), 0.01):
        time.sleep(0.2)
    beside, last = set(looks[:-1]), looks[-1]
    assert len(looks) > 2 and last == threading.get_ident() and last not in beside
    before = len(looks)
    time.sleep(0.05)
    assert len(looks) == before
