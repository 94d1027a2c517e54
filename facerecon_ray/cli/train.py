"""`facerecon train`: the networks, on one machine or a cluster."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import AddressOption, AssignmentsOption, ConfigOption, EndpointOption, overrides_of

if TYPE_CHECKING:
    from facerecon_ray.config.training import TrainJob
    from facerecon_ray.training.run import Trained

EXAMPLES = """
[bold]Examples[/bold]

facerecon train two-view --preset smoke --output smoke

facerecon train fitter --data pairs --output trained/fitter

facerecon train two-view --data s3://bucket/pairs --workers 8 --gpus-per-worker 1 --output s3://bucket/two-view

facerecon train --config jobs/train_prnet.yaml --set optimizer.learning_rate=0.0005

facerecon train two-view --data pairs --init trained/two_view.safetensors --output finer

The same command again goes on from the last checkpoint. Weights, figures and pictures are in OUTPUT.
"""


@app.command(epilog=EXAMPLES)
def train(
    network: Annotated[
        str | None,
        typer.Argument(help="detector, fitter, two-view, prnet or rotator; without it, what the job file names."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="What `facerecon synthesize` made: a folder, or s3://...")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="A folder, or s3://BUCKET/PREFIX.")] = None,
    init: Annotated[Path | None, typer.Option(help="Weights (.safetensors) to begin with.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimizer in all.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that train together.")] = None,
    gpus_per_worker: Annotated[float | None, typer.Option(help="GPUs for each of them.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="smoke: some seconds with a few rows, to see that everything works.")
    ] = None,
    endpoint_url: EndpointOption = None,
    config: ConfigOption = None,
    assignments: AssignmentsOption = None,
    address: AddressOption = None,
) -> None:
    """Train a network: Ray Train's workers, data that stream from their shards, checkpoints, figures, weights."""
    from facerecon_ray.config.training import train_job

    options = {
        "data": data or (f"{output}/data" if preset == "smoke" and output else None),
        "output": output,
        "init": str(init) if init else None,
        "steps": steps,
        "workers.count": workers,
        "workers.gpus": gpus_per_worker,
        "s3.endpoint_url": endpoint_url,
    }
    job = train_job(network, preset, config, overrides_of(options, assignments))
    _run(job, data is None and preset == "smoke", address)


def _run(job: "TrainJob", make_data: bool, address: str | None) -> None:
    from facerecon_ray.jobs.session import ray_session
    from facerecon_ray.training.progress import show_training
    from facerecon_ray.training.run import run_training

    try:
        with ray_session(address, runtime_environments=True):
            if make_data:
                _make_a_few_pairs(job)
            with show_training(job.steps, err) as watch:
                trained = run_training(job, watch)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command goes on from the last checkpoint in {job.output}", markup=False)
        sys.exit(EXIT_STOPPED)
    _summarise(trained)
    out.print(f"Weights: {trained.weights}", markup=False)
    out.print(f"Card: {trained.card}", markup=False)


def _make_a_few_pairs(training: "TrainJob") -> None:
    """Data for the preset smoke."""
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.config.synthesis import SynthesisJob
    from facerecon_ray.pipeline.synthesis.synthesis_preparation import prepare_synthesis
    from facerecon_ray.pipeline.synthesis.synthesize import run_synthesis

    few = {"subjects": 8, "shards.subjects": 2, "views.yaws": [-90.0, 0.0], "views.yaw_noise": 90.0}
    places = {"output": training.data, "s3": training.s3}
    job = load_job(SynthesisJob, None, {**few, **places, "split.validation": 0.3, "split.test": 0.0})
    prepared = prepare_synthesis(job)
    if prepared.todo:
        err.print(f"Making a few pairs in {training.data}", markup=False)
        run_synthesis(prepared, err)


def _summarise(trained: "Trained") -> None:
    from rich.table import Table

    from facerecon_ray.training.model_card import best_validation

    history = trained.history
    best, last = best_validation(history), history[-1]
    table = Table(show_header=False)
    table.add_row("steps", f"{last['step']}")
    table.add_row("rows", f"{last['rows']}")
    table.add_row("minutes", f"{last['seconds'] / 60:.1f}")
    if trained.skipped:
        table.add_row("damaged rows left out", f"{trained.skipped}, of the last {trained.reason}")
    first = history[0]["losses"]
    for name, value in last["losses"].items():
        table.add_row(f"loss {name}", f"{first[name]:.4g} at step {history[0]['step']}, now {value:.4g}")
    for name, value in best["figures"].items():
        if "@" not in name:
            table.add_row(f"{name} at step {best['step']}", f"{value:.4g}")
    out.print(table)
