"""Phase `train`: a network learns from pictures that are rendered where it learns, for as long as there is time."""

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import torch

from facerecon_ray.config.assets import FITTER_WEIGHTS, PRNET_WEIGHTS
from facerecon_ray.config.training import TrainJob
from facerecon_ray.networks.weight_file import begin_with, compress, weight_bytes, write_whole
from facerecon_ray.report.contact_sheet import png
from facerecon_ray.synthesis.batched.photographer import BatchedPhotographer
from facerecon_ray.synthesis.batched.views import ViewStream, draw_views
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.recipes.recipe import Recipe, Tensors
from facerecon_ray.training.recipes.registry import build_recipe, columns_of
from gpu.inputs import Inputs
from gpu.machine import Machine
from gpu.paths import photographer, training_job
from gpu.report import Clock, Report, Step

PHASE = "train"
NETWORKS = {"fitter": FITTER_WEIGHTS, "prnet": PRNET_WEIGHTS}
"""Those whose rows are a picture and what is true in it, and the weights to begin with."""

CHECKPOINT_SECONDS = 60.0
MOST_BYTES = 16_000_000
SIZE = 192
"""Pixels at which pictures are drawn."""

TRIAL_STEPS = 6
HELD_OUT_SEED, HELD_OUT_BATCHES = 2**40, 8
SHOWN = 8
"""Held-out rows of which a picture is written, with what the network makes of them."""

LAST_SHARE = 0.15
"""Of the time is kept for the last figures."""


def steps(
    report: Report, machine: Machine, inputs: Inputs, network: str, init: Path | None, clock: Clock
) -> Iterator[Step]:
    """All in one."""
    yield f"training of {network}", partial(_train, report, machine, inputs, network, init, clock)


def _train(report: Report, machine: Machine, inputs: Inputs, network: str, init: Path | None, clock: Clock) -> None:
    batch = 2 if machine.quick else 128
    settings = {"batch_size": batch, "optimizer": {"learning_rate": 3e-4, "warmup": 2 if machine.quick else 50}}
    job = training_job(network, machine.device, **settings)
    render = photographer(inputs, machine.device, SIZE, columns_of(job))
    held_out = [
        render(draw_views(inputs.job, batch, HELD_OUT_SEED + n))
        for n in range(1 if machine.quick else HELD_OUT_BATCHES)
    ]
    processes = 0 if machine.quick else max(1, min(8, len(os.sched_getaffinity(0)) - 2))
    with closing(ViewStream(inputs.job, batch, 1, processes)) as stream:
        views = iter(stream)
        rate = _pace(job, machine, itertools.islice((render(v) for v in views), TRIAL_STEPS))
        seconds = (1.0 - LAST_SHARE) * clock.left
        job = job.model_copy(update={"steps": max(3, int(seconds / rate))})
        recipe = build_recipe(job, machine.device)
        kept = begin_with(recipe.modules[recipe.result], init or NETWORKS[network], network)
        learner = Learner(recipe, job, machine.device)
        before = _figures(recipe, learner.network, held_out)
        report.result(PHASE, "before", steps_planned=job.steps, begun_at_random=len(kept), **before)
        _learn(report, machine, learner, (render(v) for v in views), seconds, partial(_save, report, network, recipe))
        _calibrated(recipe, learner, render, inputs, batch, machine)
        after = _figures(recipe, learner.network, held_out)
        _save(report, network, recipe, learner)
        report.result(PHASE, "after", steps=learner.step, **after)
        shown = {name: values[:SHOWN] for name, values in held_out[0].items()}
        write_whole(png(recipe.picture(learner.network, shown)), report.folder / f"{network}.png")


def _pace(job: TrainJob, machine: Machine, batches: Iterator[Tensors]) -> float:
    """Seconds that a step takes, rendering included."""
    learner = Learner(build_recipe(job, machine.device), job, machine.device)
    learner.learn(next(batches))
    machine.wait()
    start, steps = time.perf_counter(), 0
    for rows in batches:
        learner.learn(rows)
        steps += 1
        if machine.quick:
            break
    machine.wait()
    return (time.perf_counter() - start) / steps


def _learn(
    report: Report,
    machine: Machine,
    learner: Learner,
    batches: Iterator[Tensors],
    seconds: float,
    save: Callable[[Learner], None],
) -> None:
    """Steps until the time is over, with a checkpoint every minute."""
    start = saved = time.monotonic()
    rendering, rows = 0.0, 0
    while learner.step == 0 or time.monotonic() - start < seconds:
        begun = time.monotonic()
        batch = next(batches)
        machine.wait()
        rendering += time.monotonic() - begun
        losses = learner.learn(batch)
        rows += len(batch["crop"])
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            save(learner)
            report.result(PHASE, "checkpoint", step=learner.step, loss=sum(losses.values()))
    passed = time.monotonic() - start
    report.result(
        PHASE,
        "pace",
        steps_per_second=learner.step / passed,
        rows_per_second=rows / passed,
        rendering_share=rendering / passed,
    )


def _figures(recipe: Recipe, network: torch.nn.Module, batches: Sequence[Tensors]) -> dict[str, float]:
    """Mean figures over rows that are not learnt from."""
    found = [recipe.figures(network, batch) for batch in batches]
    return {name: float(torch.cat([one[name] for one in found]).nanmean()) for name in found[0] if "@" not in name}


def _calibrated(
    recipe: Recipe, learner: Learner, render: BatchedPhotographer, inputs: Inputs, batch: int, machine: Machine
) -> None:
    """The weights know how they err, measured on other rows than the figures."""
    count = 2 if machine.quick else 4 * HELD_OUT_BATCHES
    seeds = range(2 * HELD_OUT_SEED, 2 * HELD_OUT_SEED + count)
    recipe.calibrate(learner.measured(), learner.network, (render(draw_views(inputs.job, batch, s)) for s in seeds))


def _save(report: Report, network: str, recipe: Recipe, learner: Learner) -> None:
    """The averaged weights, of 16 MB at most."""
    path = report.folder / f"{network}.safetensors"
    metadata = {**recipe.metadata, "step": str(learner.step)}
    write_whole(weight_bytes(learner.network.state_dict(), network, metadata), path)
    if path.stat().st_size > MOST_BYTES:
        compress(path, path)
