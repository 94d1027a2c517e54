"""`facerecon reconstruct` and `facerecon demo`: photos in, face meshes out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import AddressOption, AssignmentsOption, ConfigOption, overrides_of

if TYPE_CHECKING:
    from facerecon_ray.pipeline.preparation import PreparedJob
    from facerecon_ray.pipeline.reconstruct import JobResult

RECONSTRUCT_EXAMPLES = """
[bold]Examples[/bold]

facerecon reconstruct portrait.jpg --output out

facerecon reconstruct photos/ --output out --limit 100

facerecon reconstruct 'photos/**/*.png' --output out --format obj --topology model

facerecon reconstruct list.csv --output out --set rotate.yaw_change=20 --set pools.crop.workers=4

facerecon reconstruct --config jobs/reconstruct_photos.yaml --dry-run

The same command again finishes what is missing and redoes nothing. Look at OUT/index.html afterwards.
"""


@app.command(epilog=RECONSTRUCT_EXAMPLES)
def reconstruct(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT", help="A photo, a folder, a quoted glob pattern, or a list (.txt, .csv, .parquet)."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Folder for meshes, manifest and gallery.")
    ] = None,
    method: Annotated[
        Literal["fitted", "two-view"] | None,
        typer.Option(help="How faces are reconstructed: the fitted face model, or the two-view network."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of the two-view network (.safetensors).")] = None,
    mesh_format: Annotated[Literal["glb", "obj", "ply"] | None, typer.Option("--format", help="Mesh format.")] = None,
    topology: Annotated[
        Literal["dense", "model"] | None,
        typer.Option(help="A vertex for each pixel of the position map, or the face model's own vertices."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Stop after this many photos.")] = None,
    config: ConfigOption = None,
    assignments: AssignmentsOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the results of an earlier run in the output folder first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be read and written, and write nothing.")
    ] = False,
    address: AddressOption = None,
) -> None:
    """Reconstruct every face in photos: meshes, previews, a manifest in Parquet, and a page to look at."""
    options = {
        "input": source,
        "output": output,
        "reconstruct.method": method,
        "reconstruct.weights": weights,
        "export.format": mesh_format,
        "export.topology": topology,
        "limit": limit,
    }
    prepared = _prepare(config, options, assignments, overwrite)
    _describe_input(prepared)
    if dry_run:
        _describe_plan(prepared)
    else:
        _run(prepared, address)


@app.command()
def demo(
    output: Annotated[str, typer.Option("--output", "-o", help="Folder for the results.")] = "demo",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the results of an earlier run in the output folder first.")
    ] = False,
) -> None:
    """Reconstruct the faces of the bundled photos."""
    photos = Path(__file__).parent.parent / "assets" / "photos"
    prepared = _prepare(None, {"input": str(photos), "output": output}, None, overwrite)
    _describe_input(prepared)
    _run(prepared, None)


def _prepare(
    config: Path | None, options: dict[str, Any], assignments: list[str] | None, overwrite: bool
) -> "PreparedJob":
    from facerecon_ray.config.reconstruct import ReconstructJob
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.pipeline.preparation import prepare

    return prepare(load_job(ReconstructJob, config, overrides_of(options, assignments)), overwrite)


def _describe_input(prepared: "PreparedJob") -> None:
    photos, done = len(prepared.photos), prepared.done()
    ignored = f", {prepared.ignored} other files passed over" if prepared.ignored else ""
    err.print(f"{photos} photos in {prepared.job.input}{ignored}", markup=False)
    if done:
        left = sum(photo not in done for photo in prepared.photos)
        err.print(f"Continuing: {photos - left} of them are done, {left} to do", markup=False)


def _describe_plan(prepared: "PreparedJob") -> None:
    from rich.table import Table

    from facerecon_ray.pipeline.stage_plan import plan_stages

    table = Table("stage", "workers", "CPUs each", "GPUs each", "batch")
    for stage in plan_stages(prepared.job, prepared.files):
        pool = stage.pool
        table.add_row(stage.name, f"{pool.workers}", f"{pool.cpus:g}", f"{pool.gpus:g}", f"{pool.batch_size}")
    out.print(table)
    out.print(f"Would write to {prepared.output.path}; nothing was written.", markup=False)


def _run(prepared: "PreparedJob", address: str | None) -> None:
    from facerecon_ray.pipeline.reconstruct import run_reconstruct

    try:
        result = run_reconstruct(prepared, err, address)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command continues where this run ended: {prepared.output.path}", markup=False)
        sys.exit(EXIT_STOPPED)
    _summarise(result)


def _summarise(result: "JobResult") -> None:
    from rich.table import Table

    rows, run = result.totals.rows, result.run
    table = Table(show_header=False)
    table.add_row("photos", f"{result.totals.photos}")
    table.add_row("faces with a mesh", f"{rows.get('ok', 0)}")
    table.add_row("photos without a face", f"{rows.get('no_face', 0)}")
    table.add_row("photos unreadable", f"{rows.get('unreadable', 0)}")
    table.add_row("failed", f"{rows.get('failed', 0)}")
    if run.faces_per_second:
        table.add_row("faces a second", f"{run.faces_per_second:g}")
    table.add_row("seconds", f"{run.seconds:.1f}")
    out.print(table)
    for status, photo, error in result.totals.first_errors:
        err.print(f"{status}: {photo}: {error}", style="yellow", markup=False)
    out.print(f"Open {result.gallery.as_uri()}", markup=False)
