"""A job of a checkout, watched from outside: CPU seconds and memory of all its processes, by their kind."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from cpu_by_process import kind_of

HERE = Path(__file__).resolve().parents[1]
LOOKS_A_SECOND = 10
SECONDS_BETWEEN_MEMORY = 1.0


@dataclass
class Watched:
    """What a job took.

    wall      seconds
    cpu       seconds by kind of process
    resident  MB of the largest process of each kind
    together  MB of all processes at one time, at most; pages that several share count once
    """

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    resident: dict[str, int] = field(default_factory=dict)
    together: int = 0


def run_reconstruct(checkout: Path, photos: Path, output: Path, settings: list[str]) -> Watched:
    """Run `facerecon reconstruct` in a checkout with the environment that it has; raises SystemExit when it fails.

    Bytecode is kept as the launcher keeps it: the first run of a new environment compiles for as long as it works.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python if python.exists() else sys.executable), "-m", "facerecon_ray", "reconstruct", str(photos)]
    command += ["--output", str(output), *(part for setting in settings for part in ("--set", setting))]
    start = time.perf_counter()
    job = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    found = watch(job)
    found.wall = time.perf_counter() - start
    if job.returncode:
        assert job.stderr is not None
        raise SystemExit(f"{checkout}: the job failed: {job.stderr.read().decode()[-500:]}")
    return found


def watch(job: "subprocess.Popen[bytes]") -> Watched:
    """Look at a job's processes until it ends; without the wall time."""
    root = psutil.Process(job.pid)
    found, spent, looked = Watched(), dict[psutil.Process, tuple[str, float]](), 0.0
    while job.poll() is None:
        processes = [root]
        with suppress(psutil.Error):
            processes += root.children(recursive=True)
        for process in processes:
            with suppress(psutil.Error):
                times = process.cpu_times()
                spent[process] = kind_of(process, root), times.user + times.system
        if time.perf_counter() - looked > SECONDS_BETWEEN_MEMORY:
            looked = time.perf_counter()
            _look_at_memory(processes, root, found)
        time.sleep(1 / LOOKS_A_SECOND)
    cpu: defaultdict[str, float] = defaultdict(float)
    for kind, seconds in spent.values():
        cpu[kind] += seconds
    found.cpu = dict(cpu)
    return found


def _look_at_memory(processes: list[psutil.Process], root: psutil.Process, found: Watched) -> None:
    together = 0
    for process in processes:
        with suppress(psutil.Error):
            memory = process.memory_full_info()
            kind = kind_of(process, root)
            found.resident[kind] = max(found.resident.get(kind, 0), memory.rss >> 20)
            together += memory.pss
    found.together = max(found.together, together >> 20)
