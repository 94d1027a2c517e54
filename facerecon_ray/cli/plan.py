"""`facerecon plan`: what a job will do on a cluster, before anything runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facerecon_ray.cli.app import app, err, out
from facerecon_ray.cli.options import AssignmentsOption, overrides_of

if TYPE_CHECKING:
    from rich.table import Table

    from facerecon_ray.cluster.nodes import Cluster
    from facerecon_ray.pipeline.capacity.sized_stage import SizedStage
    from facerecon_ray.pipeline.capacity.throughput import Forecast

PLAN_EXAMPLES = """
[bold]Examples[/bold]

facerecon plan --photos 10000

facerecon plan jobs/reconstruct_photos.yaml --photos 5000000 --nodes 8x32cpu --nodes 4x16cpu+1gpu --cost-per-hour 25

facerecon plan jobs/reconstruct_photos.yaml --photos 5000000 --address ray://head:10001
"""


@app.command(epilog=PLAN_EXAMPLES)
def plan(
    job_file: Annotated[Path | None, typer.Argument(metavar="[JOB.yaml]", help="Job file of `reconstruct`.")] = None,
    photos: Annotated[int, typer.Option(help="Photos of the collection.", min=1)] = 1000,
    nodes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COUNTxCPUScpu+GPUSgpu:TYPE",
            help="Nodes of the cluster; may be repeated. TYPE, such as H200, is Ray's name and may be left out.",
        ),
    ] = None,
    address: Annotated[str | None, typer.Option(help="Plan for this running Ray cluster.")] = None,
    faces_per_photo: Annotated[float, typer.Option(help="On average, photos without a face included.", min=0.0)] = 1.0,
    cost_per_hour: Annotated[
        float | None, typer.Option(help="Price of the whole cluster for an hour.", min=0.0)
    ] = None,
    assignments: AssignmentsOption = None,
) -> None:
    """Show stages, workers, bottleneck, hours, cost and the output's objects on a cluster, by default this machine."""
    from facerecon_ray.config.reconstruct import ReconstructJob
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.errors import SettingsError
    from facerecon_ray.pipeline.capacity.object_count import describe_objects
    from facerecon_ray.pipeline.capacity.sizing import size_stages
    from facerecon_ray.pipeline.capacity.throughput import forecast
    from facerecon_ray.pipeline.stage_plan import fused, outline

    # Input and output do not matter to a plan, so a job file need not name them.
    fallback = {} if job_file else {"input": "photos", "output": "out"}
    job = load_job(ReconstructJob, job_file, {**fallback, **overrides_of({}, assignments)})
    cluster = _cluster(nodes, address)
    stages = size_stages(fused(outline(job), cluster), cluster, strict=False)
    outlook = forecast(stages, cluster, faces_per_photo)
    out.print(f"Cluster: {cluster.describe()}")
    out.print(" -> ".join(["photos", *(name for stage in stages for name in _names(stage)), "meshes"]))
    if any(stage.parts for stage in stages):
        out.print("All stages share their processes: one machine, with fewer CPUs than stages, and no pools are set.")
    out.print(pools_table(stages, outlook))
    if outlook.problem:
        raise SettingsError(outlook.problem)
    _print_outlook(outlook, photos, cost_per_hour, cluster.gpu_type)
    out.print(describe_objects(job, photos, faces_per_photo))


def _names(stage: "SizedStage") -> list[str]:
    return [part.name for part in stage.parts] or [stage.name]


def pools_table(stages: "Sequence[SizedStage]", outlook: "Forecast") -> "Table":
    """Stages with their workers, what each of those has, costs and rates."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("stage", box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("workers", "CPUs", "GPUs", "batch", "ms/photo", "photos/s", "busy"):
        table.add_column(heading, justify="right", overflow="fold")
    for stage in stages:
        pool, rate = stage.pool, outlook.rates[stage.name]
        workers = f"{pool.workers}" if pool.workers == pool.min_workers else f"{pool.min_workers}-{pool.workers}"
        table.add_row(
            stage.name,
            workers,
            f"{pool.cpus:g}",
            f"{pool.gpus:g}",
            f"{pool.batch_size}",
            f"{stage.seconds * 1000:.1f}",
            f"{rate:.1f}",
            f"{outlook.photos_per_second / rate:.0%}",
        )
    return table


def _cluster(nodes: list[str] | None, address: str | None) -> "Cluster":
    from facerecon_ray.cluster.nodes import live_cluster, parse_nodes, this_machine
    from facerecon_ray.errors import SettingsError

    if nodes and address:
        raise SettingsError("--nodes and --address: give one of them")
    if nodes:
        return parse_nodes(nodes)
    if address is None:
        return this_machine()
    from facerecon_ray.jobs.session import ray_session

    with ray_session(address):
        return live_cluster()


def _print_outlook(outlook: "Forecast", photos: int, cost_per_hour: float | None, gpu_type: str | None) -> None:
    from facerecon_ray.pipeline.capacity.stage_costs import cost_table

    hours = outlook.hours(photos)
    out.print(f"Bottleneck: {outlook.bottleneck}")
    out.print(f"{photos:,} photos at {outlook.photos_per_second:.1f} photos/s: {_duration(hours)}")
    if cost_per_hour is not None:
        out.print(f"Cost: {hours * cost_per_hour:,.2f} at {cost_per_hour:g} an hour")
    out.print(
        "Costs of the stages are measured for photos of 640 pixels with one face on one make of CPU.", style="dim"
    )
    if not cost_table(gpu_type).gpu_measured and outlook.limits["GPUs"] != float("inf"):
        of_type = f" of type {gpu_type}" if gpu_type else ""
        err.print(
            f"warning: costs on a GPU{of_type} are estimates, not measured; see docs/gpu.md",
            style="yellow",
            markup=False,
        )
    for warning in outlook.warnings:
        err.print(f"warning: {warning}", style="yellow", markup=False)


def _duration(hours: float) -> str:
    if hours < 1 / 60:
        return f"{hours * 3600:.0f} seconds"
    return f"{hours * 60:.0f} minutes" if hours < 2 else f"{hours:,.1f} hours"
