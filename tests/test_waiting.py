import subprocess
import sys
import time

import pytest

from facerecon_ray.waiting import announced


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
