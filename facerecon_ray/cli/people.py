"""`facerecon people`: who is in a collection, and one face of each person from all of their photos."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import AddressOption, AssignmentsOption, ConfigOption, EndpointOption, overrides_of
from facerecon_ray.cli.progress import showing
from facerecon_ray.errors import InputError

if TYPE_CHECKING:
    from facerecon_ray.pipeline.people.job import PeopleResult

PEOPLE_EXAMPLES = """
[bold]Examples[/bold]

facerecon reconstruct photos/ --people --output out

facerecon people out --output people

facerecon people s3://bucket/meshes --output s3://bucket/people

facerecon people out --groups groups.csv --output people

The same command again finishes what is missing, and takes in photos that were added; persons keep their names.
What it makes is biometric data: see docs/privacy.md. Look at PEOPLE/index.html afterwards.
"""


@app.command(epilog=PEOPLE_EXAMPLES)
def people(
    source: Annotated[
        str | None,
        typer.Argument(metavar="OUT", help="Output of a `facerecon reconstruct --people`: a folder or s3:// prefix."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Folder or s3://bucket/prefix for the people.")
    ] = None,
    groups: Annotated[
        Path | None,
        typer.Option(
            metavar="GROUPS.csv",
            help="Who is who, in place of recognition: a list with the columns photo and person.",
        ),
    ] = None,
    endpoint_url: EndpointOption = None,
    config: ConfigOption = None,
    assignments: AssignmentsOption = None,
    address: AddressOption = None,
) -> None:
    """Find out which faces of a job show the same person, and make one face of all photos of each."""
    from facerecon_ray.config.people import PeopleJob
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.pipeline.people.job import run_people

    options = {"input": source, "output": output, "groups": groups, "s3.endpoint_url": endpoint_url}
    job = load_job(PeopleJob, config, overrides_of(options, assignments))
    try:
        with showing("merging", "people") as progress:
            result = run_people(job, progress, address)
    except KeyboardInterrupt:
        err.print(f"Stopped. The same command continues where this run ended: {job.output}", markup=False)
        sys.exit(EXIT_STOPPED)
    _summarise(result)


def _summarise(result: "PeopleResult") -> None:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_row("people", f"{result.people}")
    table.add_row("made or made anew", f"{result.made}")
    table.add_row("their faces", f"{result.faces}")
    table.add_row("left out, their shape disagrees", f"{result.left_out}")
    table.add_row("faces of nobody", f"{result.of_nobody}")
    out.print(table)
    out.print(f"Open {result.page}", markup=False)
    if not result.people:
        raise InputError(
            f"none of {result.of_nobody} faces is good enough to found a person; "
            "see grouping.founder_quality and its neighbours in docs/people.md"
        )
