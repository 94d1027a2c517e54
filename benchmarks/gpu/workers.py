"""Processes that share the device: each runs the whole chain, as Ray's workers would, and counts what comes out."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from facerecon_ray.config.reconstruct import ChainSettings
from facerecon_ray.stages.chain import CROP, EXPORT, FIT, RECONSTRUCT, ROTATE, ChainPart
from facerecon_ray.stages.stage import OK, Batch
from gpu.inputs import Inputs
from gpu.machine import Machine

START_SECONDS = 120.0
SAMPLE_SECONDS = 0.2


class Chain:
    """All stages in one process, export included where it is asked for.

    Parameters
    ----------
    device : of all stages but the export
    inputs : gives the face model
    export : whether meshes are made
    """

    def __init__(self, device: torch.device, inputs: Inputs, export: bool = True) -> None:
        where = {"device": str(device)}
        settings = ChainSettings.model_validate({stage.name: where for stage in (CROP, FIT, ROTATE, RECONSTRUCT)})
        self._crop = ChainPart(settings, CROP, CROP, model=inputs.model)
        self.from_crops = ChainPart(settings, FIT, RECONSTRUCT, asked=("rotated",), model=inputs.model)
        self._export = ChainPart(settings, EXPORT, EXPORT) if export else None

    def __call__(self, photos: Batch) -> Batch:
        """Photos as bytes to meshes."""
        made = self.from_crops(self._crop(photos))
        return self._export(made) if self._export else made


@dataclass(frozen=True)
class Count:
    """What came out: faces, photos that went in, and seconds."""

    faces: int
    photos: int
    seconds: float


def count(chain: Callable[[Batch], Batch], batch: Batch, seconds: float) -> Count:
    """Run a batch again and again for so long."""
    chain(batch)
    faces, photos, start = 0, 0, time.perf_counter()
    while True:
        result = chain(batch)
        faces += int((result["status"] == OK).sum())
        photos += len(batch["status"])
        passed = time.perf_counter() - start
        if passed >= seconds:
            return Count(faces, photos, passed)


def work(batch_size: str, machine: Machine, seconds: float, carried: Path | None) -> None:
    """What a process does: get ready, wait for a line, run for some seconds, say what came out."""
    torch.set_num_threads(1)
    inputs = Inputs(carried, quick=False)
    chain = Chain(machine.device, inputs)
    batch = inputs.read(int(batch_size))
    chain(batch)
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(vars(count(chain, batch, seconds))), flush=True)


def together(machine: Machine, processes: int, batch_size: int, seconds: float, carried: Path | None) -> list[Count]:
    """Counts of processes that run at the same time.

    Raises
    ------
    RuntimeError
        when one of them breaks, or is not ready in time
    """
    script = str(Path(__file__).parents[1] / "gpu_check.py")
    command = [sys.executable, script, "--worker", str(batch_size), "--device", str(machine.device)]
    command += ["--seconds", str(seconds), *(["--carried", str(carried)] if carried else [])]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    ends = [threading.Timer(START_SECONDS + 3 * seconds, process.kill) for process in started]
    try:
        for end in ends:
            end.start()
        for process in started:
            _line(process)
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [Count(**json.loads(_line(process))) for process in started]
    finally:
        for process, end in zip(started, ends, strict=True):
            end.cancel()
            process.kill()
            process.wait()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the chain ended with status {process.wait()}; what it said stands above")
    return line


@contextmanager
def busy_share(machine: Machine) -> Iterator[Callable[[], float | None]]:
    """What gives the share of the time meanwhile in which the GPU was busy, by nvidia-smi; None without a GPU."""
    samples: list[float] = []
    stop = threading.Event()

    def sample() -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        query += [f"--id={machine.device.index or 0}"]
        while not stop.wait(SAMPLE_SECONDS):
            said = subprocess.run(query, capture_output=True, text=True).stdout.strip()
            if said.isdigit():
                samples.append(int(said) / 100)

    thread = threading.Thread(target=sample, daemon=True) if machine.on_gpu else None
    if thread:
        thread.start()
    yield lambda: sum(samples) / len(samples) if samples else None
    stop.set()
    if thread:
        thread.join()
