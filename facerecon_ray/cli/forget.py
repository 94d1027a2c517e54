"""`facerecon forget`: photos or a person are taken out of what was made of them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import EndpointOption
from facerecon_ray.errors import InputError

FORGET_EXAMPLES = """
[bold]Examples[/bold]

facerecon forget out --photo photos/ann.jpg

facerecon forget s3://bucket/meshes --photo s3://bucket/photos/1.jpg --photo s3://bucket/photos/2.jpg

facerecon forget out --person 2c25a901c538

The photos themselves are not touched. The same command again does what an earlier one has left; docs/privacy.md says
what is deleted, and what stays.
"""


@app.command(epilog=FORGET_EXAMPLES)
def forget(
    output: Annotated[str, typer.Argument(metavar="OUT", help="Output of a job: a folder or s3:// prefix.")],
    photo: Annotated[
        list[str] | None,
        typer.Option(help="A photo, a clip or an archive, as the manifest names it or as a path; may be repeated."),
    ] = None,
    person: Annotated[
        str | None, typer.Option(metavar="ID", help="A person of the people that were made of this job.")
    ] = None,
    face_model: Annotated[
        Path | None, typer.Option(help="The face model of the job, if it was not the own one.")
    ] = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Delete rows, meshes, previews and descriptors of photos or a person, there and in people made of them."""
    from facerecon_ray.config.storage import S3Settings
    from facerecon_ray.pipeline.people.forgetting import forget as run

    if bool(photo) == (person is not None):
        raise InputError("name either photos with --photo, or one person with --person")
    try:
        done = run(output, photo or (), person, S3Settings(endpoint_url=endpoint_url), face_model)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command forgets the rest: {output}", markup=False)
        sys.exit(EXIT_STOPPED)
    for missing in done.missing:
        err.print(f"{missing}: these people are not there any more, nothing was done there", style="yellow")
    out.print(f"Forgotten and verified: {done.rows} rows, {done.files} files, {done.people} persons changed")
