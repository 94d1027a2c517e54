"""`facerecon reconstruct` and `facerecon demo`: photos in, face meshes out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import AddressOption, AssignmentsOption, ConfigOption, EndpointOption, overrides_of
from facerecon_ray.errors import InputError

if TYPE_CHECKING:
    from facerecon_ray.pipeline.preparation import PreparedJob
    from facerecon_ray.pipeline.reconstruct import JobResult

RECONSTRUCT_EXAMPLES = """
[bold]Examples[/bold]

facerecon reconstruct portrait.jpg --output out

facerecon reconstruct photos/ --output out --limit 100

facerecon reconstruct clip.mp4 --people --output out

facerecon reconstruct 'photos/**/*.png' --output out --format obj --topology model

facerecon reconstruct list.csv --output out --set rotate.yaw_change=20 --set pools.crop.workers=4

facerecon reconstruct --pairs pairs.csv --output out

facerecon reconstruct photos/ --people --output out

facerecon reconstruct photos/ --no-meshes --set export.previews=false --output rows

facerecon reconstruct s3://bucket/photos --output s3://bucket/meshes --pack shard

facerecon reconstruct 's3://bucket/{00000..00999}.tar' --output s3://bucket/meshes

facerecon reconstruct --config jobs/reconstruct_photos.yaml --dry-run

Photos are JPEG, HEIC, PNG, WebP, AVIF, TIFF, BMP or GIF files, and JPEG XL where pillow-jxl-plugin is installed; of
clips (MP4, MOV, MKV, WebM, AVI and others) two frames a second are read.
The same command again finishes what is missing and redoes nothing. Look at OUT/index.html afterwards.
Credentials for S3 come from the environment, a profile or a role, as the AWS tools find them.
"""


@app.command(epilog=RECONSTRUCT_EXAMPLES)
def reconstruct(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT",
            help="A photo, a clip, a tar archive, a Parquet file with pictures, a folder, a quoted pattern, or a list "
            "(.txt, .csv, .parquet); a path or s3://bucket/...",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Folder or s3://bucket/prefix for the results."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="PAIRS.csv",
            help="In place of INPUT: a list with the columns front and side, two photos of one person a row.",
        ),
    ] = None,
    method: Annotated[
        Literal["fitted", "two-view", "prnet"] | None,
        typer.Option(help="How faces are reconstructed: the fitted face model, the two-view network, or PRNet."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of the network (.safetensors).")] = None,
    mesh_format: Annotated[Literal["glb", "obj", "ply"] | None, typer.Option("--format", help="Mesh format.")] = None,
    topology: Annotated[
        Literal["auto", "smooth", "dense", "model"] | None,
        typer.Option(
            help="The face model's triangles with a smooth border, a vertex for each pixel of the position map, or "
            "the face model's own vertices."
        ),
    ] = None,
    meshes: Annotated[
        bool | None,
        typer.Option(
            "--meshes/--no-meshes",
            help="Write meshes; without, only rows, of which `facerecon export` makes meshes later.",
            show_default=False,
        ),
    ] = None,
    pack: Annotated[
        Literal["none", "shard"] | None,
        typer.Option(help="shard: one tar for the meshes and previews of many photos, in place of a file for each."),
    ] = None,
    people: Annotated[
        bool,
        typer.Option("--people", help="Store what `facerecon people` needs: biometric data, see docs/privacy.md."),
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Stop after this many photos.")] = None,
    endpoint_url: EndpointOption = None,
    config: ConfigOption = None,
    assignments: AssignmentsOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the results of an earlier run in the output folder first.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do photos again that failed or could not be read.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be read and written, and write nothing.")
    ] = False,
    address: AddressOption = None,
) -> None:
    """Reconstruct every face in photos: meshes, previews, a manifest in Parquet, and a page to look at."""
    if source is not None and pairs is not None:
        raise InputError(f"both {source} and --pairs {pairs} are given; name an INPUT or a list of pairs")
    options = {
        "input": source if pairs is None else pairs,
        "pairs": None if pairs is None else True,
        "output": output,
        "reconstruct.method": method,
        "reconstruct.weights": weights,
        "export.format": mesh_format,
        "export.topology": topology,
        "export.meshes": meshes,
        "export.pack": pack,
        "people.enabled": people or None,
        "limit": limit,
        "s3.endpoint_url": endpoint_url,
    }
    prepared = _prepare(config, options, assignments, overwrite, retry_failed)
    if dry_run:
        _describe(prepared)
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
    from facerecon_ray.config.assets import PHOTOS

    prepared = _prepare(None, {"input": str(PHOTOS), "output": output}, None, overwrite)
    _run(prepared, None)


def _prepare(
    config: Path | None,
    options: dict[str, Any],
    assignments: list[str] | None,
    overwrite: bool,
    retry_failed: bool = False,
) -> "PreparedJob":
    from facerecon_ray.config.reconstruct import ReconstructJob
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.pipeline.preparation import prepare

    return prepare(load_job(ReconstructJob, config, overrides_of(options, assignments)), overwrite, retry_failed)


def _describe(prepared: "PreparedJob") -> None:
    from facerecon_ray.cli.plan import pools_table
    from facerecon_ray.cluster.nodes import this_machine
    from facerecon_ray.pipeline.capacity.object_count import describe_objects
    from facerecon_ray.pipeline.capacity.sizing import size_stages
    from facerecon_ray.pipeline.capacity.throughput import forecast
    from facerecon_ray.pipeline.preparation import describe_photos
    from facerecon_ray.pipeline.stage_plan import fused, outline

    photos, done = prepared.count()
    describe_photos(err, prepared, photos, done)
    machine = this_machine()
    stages = size_stages(fused(outline(prepared.job), machine), machine, strict=False)
    out.print(pools_table(stages, forecast(stages, machine)))
    out.print(describe_objects(prepared.job, photos))
    out.print(f"Would write to {prepared.output.uri}; nothing was written.", markup=False)


def _run(prepared: "PreparedJob", address: str | None) -> None:
    from facerecon_ray.pipeline.reconstruct import run_reconstruct

    try:
        result = run_reconstruct(prepared, err, address)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command continues where this run ended: {prepared.output.uri}", markup=False)
        sys.exit(EXIT_STOPPED)
    _summarise(result)


def _summarise(result: "JobResult") -> None:
    from rich.table import Table

    rows, run = result.totals.rows, result.run
    table = Table(show_header=False)
    table.add_row("photos", f"{result.totals.photos}")
    table.add_row("faces", f"{rows.get('ok', 0)}")
    table.add_row("photos without a face", f"{rows.get('no_face', 0)}")
    table.add_row("photos unreadable", f"{rows.get('unreadable', 0)}")
    table.add_row("failed", f"{rows.get('failed', 0)}")
    if run.faces_per_second:
        table.add_row("faces a second", f"{run.faces_per_second:g}")
    table.add_row("seconds", f"{run.seconds:.1f}")
    out.print(table)
    for status, photo, error in result.totals.first_errors:
        err.print(f"{status}: {photo}: {error}", style="yellow", markup=False)
    out.print(f"Open {result.gallery}", markup=False)
    out.print(f"How the run went: {result.report}", markup=False)
    if result.totals.fruitless:
        raise InputError(f"none of {result.totals.photos} photos could be used; the manifest says of each why not")
