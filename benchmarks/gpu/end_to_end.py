"""Phase `end to end`: photos, decoded on the CPU's cores, through the whole chain on one GPU."""

import os
from collections.abc import Iterator
from functools import partial

import torch

from gpu.inputs import Inputs
from gpu.machine import Machine
from gpu.report import Clock, Report, Step
from gpu.workers import Chain, busy_share, count, together

PHASE = "end to end"
BATCH = 64
START_SECONDS = 15.0
"""That processes need before they run, about."""


def steps(report: Report, machine: Machine, inputs: Inputs, clock: Clock) -> Iterator[Step]:
    """One process, then as many as the CPU's cores allow."""
    yield "photos, one process", partial(_alone, report, machine, inputs, clock)
    cores = len(os.sched_getaffinity(0))
    for processes in sorted({4, 8, cores} if cores >= 8 else {2}):
        name = f"photos, {processes} processes"
        if machine.quick:
            report.skip(PHASE, name, "a rehearsal runs one process")
        else:
            yield name, partial(_shared, report, machine, inputs, clock, processes)


def _alone(report: Report, machine: Machine, inputs: Inputs, clock: Clock) -> None:
    seconds = max(0.1, 0.2 * clock.left)
    chain, batch = Chain(machine.device, inputs), inputs.read(2 if machine.quick else BATCH)
    threads = torch.get_num_threads()
    with busy_share(machine) as busy, machine.memory() as memory:
        done = count(chain, batch, seconds)
        report.result(
            PHASE,
            "photos, one process",
            faces_per_second=done.faces / done.seconds,
            photos_per_second=done.photos / done.seconds,
            batch=len(batch["status"]),
            threads=threads,
            gpu_busy=busy() if machine.on_gpu else "skipped: no CUDA device",
            memory_mb=memory(),
        )


def _shared(report: Report, machine: Machine, inputs: Inputs, clock: Clock, processes: int) -> None:
    seconds = max(5.0, 0.4 * clock.left - START_SECONDS)
    with busy_share(machine) as busy:
        done = together(machine, processes, BATCH, seconds, inputs.carried)
        report.result(
            PHASE,
            f"photos, {processes} processes",
            faces_per_second=sum(one.faces / one.seconds for one in done),
            photos_per_second=sum(one.photos / one.seconds for one in done),
            batch=BATCH,
            gpu_busy=busy(),
        )
