"""Phase `train`: networks learn from pictures that are rendered where they learn, for as long as there is time."""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from facerecon_ray.config.assets import (
    DETECTOR_WEIGHTS,
    FITTER_WEIGHTS,
    PRNET_WEIGHTS,
    ROTATOR_WEIGHTS,
    TWO_VIEW_WEIGHTS,
)
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks import face_proposer, fitter, prnet, two_view, view_generator
from facerecon_ray.networks.weight_file import (
    NETWORK,
    begin_with,
    compress,
    read_metadata,
    weight_bytes,
)
from facerecon_ray.report.contact_sheet import png
from facerecon_ray.synthesis.batched.views import ViewBatch, ViewStream, draw_views
from facerecon_ray.training.learner import Learner
from facerecon_ray.training.model_card import model_card
from facerecon_ray.training.recipes.recipe import Recipe, Tensors
from facerecon_ray.training.recipes.registry import build_recipe, columns_of
from facerecon_ray.training.rendered_rows import RenderedRows
from facerecon_ray.whole_file import write_whole
from gpu.inputs import Inputs
from gpu.machine import Machine
from gpu.paths import training_job
from gpu.report import Clock, Report, Step

PHASE = "train"


@dataclass(frozen=True)
class Pupil:
    """A network that can be trained here.

    weights  to begin with
    rows     of a batch on a GPU
    load     its weights as the product does
    """

    weights: Path
    rows: int
    load: Callable[[Path, FaceModel], object]


PUPILS = {
    "fitter": Pupil(FITTER_WEIGHTS, 128, fitter.load_weights),
    "detector": Pupil(DETECTOR_WEIGHTS, 64, lambda path, model: face_proposer.load_weights(path)),
    "two-view": Pupil(TWO_VIEW_WEIGHTS, 64, lambda path, model: two_view.load_weights(path)),
    "prnet": Pupil(PRNET_WEIGHTS, 128, lambda path, model: prnet.load_weights(path)),
    "rotator": Pupil(ROTATOR_WEIGHTS, 32, lambda path, model: view_generator.load_weights(path)),
}

DATA = "views rendered where they were learnt from, each of a head and a photo of its own (`synthesis/batched`)"
CHECKPOINT_SECONDS = 60.0
MOST_BYTES = 16_000_000
SIZE = 192
"""Pixels at which pictures are drawn."""

TRIAL_STEPS = 6
REHEARSED_STEPS = 4
"""Of a rehearsal, which does not fill its time."""

HELD_OUT_SEED, HELD_OUT_BATCHES = 2**40, 8
SHOWN = 8
"""Held-out rows of which a picture is written, with what the network makes of them."""

LAST_SHARE = 0.15
"""Of the time is kept for the last figures."""

Render = Callable[[ViewBatch], Tensors]


def beginnings(networks: Sequence[str], files: Sequence[Path]) -> dict[str, Path]:
    """Weights that each network begins with: those of the files, which say whose they are, else the package's.

    Raises
    ------
    SystemExit
        when a file is of a network that is not trained
    AssetError
        when a file is missing or is no weight file
    """
    own = {read_metadata(path, "initial").get(NETWORK, "unknown"): path for path in files}
    for network in own.keys() - {*networks}:
        raise SystemExit(f"--init {own[network]}: these are weights of {network}; add --train {network}")
    return {network: own.get(network, PUPILS[network].weights) for network in networks}


def steps(report: Report, machine: Machine, inputs: Inputs, begin: Mapping[str, Path], clock: Clock) -> Iterator[Step]:
    """Each network, for its share of the time that is left."""
    for number, (network, weights) in enumerate(begin.items()):
        training = _Training(report, machine, inputs, network, weights)
        yield f"training of {network}", partial(_run, training, clock, len(begin) - number)


def _run(training: "_Training", clock: Clock, networks: int) -> None:
    training.run(Clock(clock.left / networks))


class _Training:
    def __init__(self, report: Report, machine: Machine, inputs: Inputs, network: str, weights: Path) -> None:
        self._report, self._machine, self._inputs = report, machine, inputs
        self._network, self._weights = network, weights
        self._batch = 2 if machine.quick else PUPILS[network].rows
        optimizer = {"learning_rate": 3e-4, "warmup": 2 if machine.quick else 50}
        settings = {"batch_size": self._batch, "optimizer": optimizer}
        self._job = training_job(network, machine.device, machine.quick, **settings)

    def run(self, clock: Clock) -> None:
        """Learn and measure, write weights, card and picture."""
        render, held_out = self._renderer(), range(1 if self._machine.quick else HELD_OUT_BATCHES)
        measured = [render(draw_views(self._inputs.job, self._batch, HELD_OUT_SEED + n)) for n in held_out]
        processes = 0 if self._machine.quick else max(1, min(8, len(os.sched_getaffinity(0)) - 2))
        with closing(ViewStream(self._inputs.job, self._batch, 1, processes)) as stream:
            batches = (render(views) for views in stream)
            rate = self._pace(itertools.islice(batches, TRIAL_STEPS))
            seconds = (1.0 - LAST_SHARE) * clock.left
            most = REHEARSED_STEPS if self._machine.quick else math.inf
            job = self._job.model_copy(update={"steps": max(3, int(min(most, seconds / rate)))})
            recipe = build_recipe(job, self._machine.device)
            kept = begin_with(recipe.modules[recipe.result], self._weights, self._network)
            learner = Learner(recipe, job, self._machine.device)
            before = _figures(recipe, learner.network, measured)
            self._say("before", steps_planned=job.steps, begun_at_random=len(kept), **before)
            learnt = self._learn(learner, recipe, batches, seconds, most)
        self._calibrate(recipe, learner, render)
        after = _figures(recipe, learner.network, measured)
        path = self._save(recipe, learner)
        PUPILS[self._network].load(path, self._inputs.model)
        self._say("after", steps=learner.step, megabytes=path.stat().st_size / 1e6, **after)
        entry = {"best": True, "rows": learner.step * self._batch, "step": learner.step, "figures": after, **learnt}
        card = model_card(job, [entry], DATA)
        write_whole(card.encode(), self._report.folder / f"{self._network}.md")
        shown = {name: values[:SHOWN] for name, values in measured[0].items()}
        write_whole(png(recipe.picture(learner.network, shown)), self._report.folder / f"{self._network}.png")

    def _say(self, name: str, **figures: Any) -> None:
        self._report.result(PHASE, f"{self._network}: {name}", **figures)

    def _renderer(self) -> Render:
        device, inputs = self._machine.device, self._inputs
        made = inputs.wardrobe.to(device), inputs.surroundings.to(device), inputs.model.to(device)
        return RenderedRows(*made, columns_of(self._job), SIZE)

    def _pace(self, batches: Iterator[Tensors]) -> float:
        """Seconds that a step takes, rendering included."""
        learner = Learner(build_recipe(self._job, self._machine.device), self._job, self._machine.device)
        learner.learn(next(batches))
        self._machine.wait()
        start, taken = time.perf_counter(), 0
        for rows in batches:
            learner.learn(rows)
            taken += 1
            if self._machine.quick:
                break
        self._machine.wait()
        return (time.perf_counter() - start) / taken

    def _learn(
        self, learner: Learner, recipe: Recipe, batches: Iterator[Tensors], seconds: float, most: float
    ) -> dict[str, Any]:
        """Steps until the time is over or so many are done, a checkpoint every minute; what the card says of them."""
        start = saved = time.monotonic()
        rendering = 0.0
        losses: list[float] = []
        while learner.step == 0 or (learner.step < most and time.monotonic() - start < seconds):
            begun = time.monotonic()
            batch = next(batches)
            self._machine.wait()
            rendering += time.monotonic() - begun
            losses.append(sum(learner.learn(batch).values()))
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                self._save(recipe, learner)
                self._say("checkpoint", step=learner.step, loss=_mean(losses[-20:]))
        passed = time.monotonic() - start
        self._say(
            "pace",
            steps_per_second=learner.step / passed,
            rows_per_second=learner.step * self._batch / passed,
            rendering_share=rendering / passed,
            first_loss=_mean(losses[:20]),
            last_loss=_mean(losses[-20:]),
        )
        return {"seconds": passed, "wait_share": rendering / passed}

    def _calibrate(self, recipe: Recipe, learner: Learner, render: Render) -> None:
        """The weights know how they err, measured on other rows than the figures."""
        count = 2 if self._machine.quick else 4 * HELD_OUT_BATCHES
        seeds = range(2 * HELD_OUT_SEED, 2 * HELD_OUT_SEED + count)
        rows = (render(draw_views(self._inputs.job, self._batch, seed)) for seed in seeds)
        recipe.calibrate(learner.measured(), learner.network, rows)

    def _save(self, recipe: Recipe, learner: Learner) -> Path:
        """The averaged weights, of 16 MB at most."""
        path = self._report.folder / f"{self._network}.safetensors"
        metadata = {**recipe.metadata, "step": str(learner.step)}
        write_whole(weight_bytes(learner.network.state_dict(), self._network, metadata), path)
        if path.stat().st_size > MOST_BYTES:
            compress(path, path)
        return path


def _figures(recipe: Recipe, network: torch.nn.Module, batches: Sequence[Tensors]) -> dict[str, float]:
    """Mean figures over rows that are not learnt from."""
    found = [recipe.figures(network, batch) for batch in batches]
    return {name: float(torch.cat([one[name] for one in found]).nanmean()) for name in found[0] if "@" not in name}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
