"""Run on an isolated host; imports little, for it is run often.

nodes COUNT    waits until just so many nodes of the cluster live
pause NAME     stops the first of Ray's tasks of this name that runs on this host, for good
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import requests

NODES_SECONDS, TASK_SECONDS = 200.0, 600.0


def wait_for_nodes(count: str) -> None:
    _wait(lambda: _live_nodes() == int(count), NODES_SECONDS, 0.3)


def pause(name: str) -> None:
    def stopped() -> bool:
        running = [process for process in psutil.process_iter(["cmdline", "status"]) if _runs(process, f"ray::{name}")]
        for process in running[:1]:
            process.suspend()
        return bool(running)

    _wait(stopped, TASK_SECONDS, 0.1)


def _wait(done: Callable[[], Any], seconds: float, pause: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(pause)


def _live_nodes() -> int:
    header = {"Authorization": f"Bearer {os.environ['RAY_AUTH_TOKEN']}"}
    try:
        answer = requests.get(f"{os.environ['RAY_API_SERVER_ADDRESS']}/nodes?view=summary", headers=header, timeout=5)
        found = answer.json()["data"]["summary"]
    except (requests.RequestException, ValueError, KeyError):
        return 0
    return sum(node.get("raylet", {}).get("state") == "ALIVE" for node in found)


def _runs(process: psutil.Process, title: str) -> bool:
    return process.info["cmdline"] == [title] and process.info["status"] != psutil.STATUS_STOPPED


if __name__ == "__main__":
    what, word = sys.argv[1:]
    {"nodes": wait_for_nodes, "pause": pause}[what](word)
