"""CPU time of this process and its descendants, by kind of process: the driver, each stage's workers, Ray's own."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_SECONDS = 1.0
_STAGE = re.compile(r"MapBatches\((\w+)\)")
_PROGRAMS = {"raylet": "raylet", "gcs_server": "gcs"}
_STARTING = "starting"

Sample = tuple[float, dict[str, float]]


@contextmanager
def sampled_cpu_seconds() -> Iterator[list[Sample]]:
    """A list that grows while this is open: time.time(), and the CPU seconds of each kind of process until then."""
    samples: list[Sample] = []
    end = threading.Event()
    watch = threading.Thread(target=_watch, args=(samples, end), daemon=True)
    watch.start()
    try:
        yield samples
    finally:
        end.set()
        watch.join()


def cpu_seconds_between(samples: list[Sample], start: float, end: float) -> dict[str, float]:
    """CPU seconds of each kind between two times, exact to one sample at both ends; scaled to the time between."""
    within = [sample for sample in samples if start <= sample[0] <= end]
    (first, before), (last, after) = within[0], within[-1]
    scale = (end - start) / (last - first)
    return {kind: scale * (seconds - before.get(kind, 0.0)) for kind, seconds in after.items()}


def _watch(samples: list[Sample], end: threading.Event) -> None:
    driver = psutil.Process()
    seconds: dict[int, float] = {}
    totals: defaultdict[str, float] = defaultdict(float)
    while not end.wait(_SECONDS):
        for process in [driver, *driver.children(recursive=True)]:
            with suppress(psutil.Error):
                kind = kind_of(process, driver)
                times = process.cpu_times()
                totals[kind] += times.user + times.system - seconds.get(process.pid, 0.0)
                seconds[process.pid] = times.user + times.system
        samples.append((time.time(), dict(totals)))


def kind_of(process: psutil.Process, driver: psutil.Process) -> str:
    """By the program, or by the name that Ray gives a process once it knows what it is for."""
    if process == driver:
        return "driver"
    command = process.cmdline()
    program = command[0].rpartition("/")[2] if command else _STARTING
    if stage := _STAGE.search(program):
        return stage[1]
    if program.startswith("ray::Ledger"):
        return "ledger"
    if helper := next((part for part in command[1:] if part.endswith(".py") and "/ray/" in part), ""):
        return helper.rpartition("/ray/")[2]
    if program.startswith("python") or "IDLE" in program:
        return _STARTING
    return _PROGRAMS.get(program, "other")
