"""`facerecon export`: meshes out of a job's output, those that are wanted in the format that is wanted."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import EndpointOption
from facerecon_ray.cli.progress import showing

EXPORT_EXAMPLES = """
[bold]Examples[/bold]

facerecon export out --to frontal --where "abs(yaw) < 30 and quality > 0.8"

facerecon export out --to objects --format obj --topology model

facerecon export s3://bucket/rows --to s3://bucket/meshes --where "photo_uri like '%/2024/%'"

Meshes that the job wrote are copied. Others are made of the manifest's rows and the photos, which must be where they
were; that goes for method fitted. The same command again does what is missing. FOLDER/exported.parquet says which mesh
is of which photo. docs/manifest.md has the columns; yaw, pitch and roll are columns here.
"""


@app.command(epilog=EXPORT_EXAMPLES)
def export(
    output: Annotated[str, typer.Argument(metavar="OUT", help="Output of a job: a folder or s3:// prefix.")],
    to: Annotated[str, typer.Option(metavar="FOLDER", help="Folder or s3://bucket/prefix for the meshes.")],
    where: Annotated[
        str | None, typer.Option(metavar="CONDITION", help="Only faces of which this SQL condition is true.")
    ] = None,
    mesh_format: Annotated[
        Literal["glb", "obj", "ply"] | None, typer.Option("--format", help="Mesh format; by default the job's.")
    ] = None,
    topology: Annotated[
        Literal["auto", "smooth", "dense", "model"] | None,
        typer.Option(help="As of `facerecon reconstruct`; by default the job's, if the format is."),
    ] = None,
    face_model: Annotated[
        Path | None, typer.Option(help="The face model of the job, if it was not the own one.")
    ] = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Write meshes of faces that a job has found: all, or those of rows that meet a condition."""
    from facerecon_ray.config.storage import S3Settings
    from facerecon_ray.pipeline.meshes.job import run_export
    from facerecon_ray.pipeline.meshes.request import ExportRequest
    from facerecon_ray.storage.row_filter import RowFilter

    s3 = S3Settings(endpoint_url=endpoint_url)
    rows = RowFilter(where) if where is not None else None
    request = ExportRequest(output, to, rows, mesh_format, topology, face_model, s3)

    def tell(line: str) -> None:
        err.print(line, style="yellow", markup=False)

    try:
        with showing("exporting", "meshes") as progress:
            done = run_export(request, progress, tell)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command does the rest: {to}", markup=False)
        sys.exit(EXIT_STOPPED)
    there = f", {done.there:,} were there already" if done.there else ""
    failed = f", {done.failed:,} could not be written" if done.failed else ""
    out.print(f"{done.copied:,} meshes copied, {done.made:,} made{there}{failed}")
    out.print(f"What is what: {done.list}", markup=False)
