"""`facerecon submit`, `status` and `stop`: jobs on a Ray cluster."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from facerecon_ray.cli.app import app, err, out
from facerecon_ray.cli.options import AssignmentsOption, EndpointOption

if TYPE_CHECKING:
    from facerecon_ray.pipeline.remote.submission import JobState

EXIT_FAILED = 1

SUBMIT_EXAMPLES = """
[bold]Examples[/bold]

facerecon submit jobs/reconstruct_photos.yaml --address http://head:8265

facerecon submit jobs/reconstruct_photos.yaml --set input=s3://photos/2026 --set output=s3://meshes/2026 --no-wait

facerecon submit jobs/reconstruct_photos.yaml --id nightly-2026-01-31

Files that the job file names by relative paths, such as weights, travel with the job, and so does the address of
the S3 store (--endpoint-url, AWS_ENDPOINT_URL); photos and results do not.
Ctrl-C ends the watching, not the job. The same job again continues where it stopped.
"""

DashboardOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Dashboard of the Ray cluster; RAY_API_SERVER_ADDRESS is honoured too."),
]


@app.command(epilog=SUBMIT_EXAMPLES)
def submit(
    job_file: Annotated[Path, typer.Argument(metavar="JOB.yaml", help="Job file; its `command` says what it is for.")],
    address: DashboardOption = None,
    endpoint_url: EndpointOption = None,
    assignments: AssignmentsOption = None,
    job: Annotated[str | None, typer.Option("--id", help="Id of the job; a cluster takes each id once.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the job's command, for example --option=--retry-failed.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show the job's log until it ends.")] = True,
    installed: Annotated[
        bool, typer.Option("--installed", help="The nodes have this package installed; do not send it.")
    ] = False,
) -> None:
    """Run a job file on a Ray cluster."""
    from facerecon_ray.pipeline.remote.job_package import package_job
    from facerecon_ray.pipeline.remote.submission import JobServer

    with TemporaryDirectory() as folder:
        settings = [*(assignments or []), *([f"s3.endpoint_url={endpoint_url}"] if endpoint_url else [])]
        package = package_job(job_file, settings, Path(folder), not installed, option or [])
        server = JobServer(address)
        name = server.submit(package, job)
    out.print(name, markup=False)
    where = f" --address {server.address}"
    err.print(f"facerecon status {name}{where}\nfacerecon stop {name}{where}", markup=False, style="dim")
    if not wait:
        return
    try:
        for piece in server.follow(name):
            err.print(piece, end="", markup=False)
    except KeyboardInterrupt:
        err.print(f"The job goes on. Its state: facerecon status {name}{where}", markup=False)
        return
    state = server.state(name)
    _show(state)
    if not state.succeeded:
        sys.exit(EXIT_FAILED)


@app.command()
def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Id that `submit` printed; without, all.")] = None,
    address: DashboardOption = None,
    log: Annotated[bool, typer.Option("--log", help="Print the job's whole log.")] = False,
) -> None:
    """Show what has become of a submitted job, or list all jobs of a cluster."""
    from rich.table import Table

    from facerecon_ray.pipeline.remote.submission import JobServer

    server = JobServer(address)
    if job is None:
        table = Table("job", "command", "status", "started", "output")
        for state in server.jobs():
            started = f"{state.started:%Y-%m-%d %H:%M:%S}" if state.started else ""
            metadata = state.metadata
            table.add_row(state.job, metadata.get("command"), state.status, started, metadata.get("output"))
        out.print(table)
    elif log:
        out.print(server.logs(job), end="", markup=False)
    else:
        _show(server.state(job))


@app.command()
def stop(
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id that `submit` printed.")],
    address: DashboardOption = None,
) -> None:
    """Stop a submitted job; what it has finished stays, and the same job file continues it."""
    from facerecon_ray.pipeline.remote.submission import JobServer

    stopped = JobServer(address).stop(job)
    out.print(f"{job} is stopping" if stopped else f"{job} had ended before", markup=False)


def _show(state: "JobState") -> None:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_row("job", state.job)
    table.add_row("status", state.status)
    for name, value in state.metadata.items():
        table.add_row(name, value)
    if state.started:
        table.add_row("started", f"{state.started:%Y-%m-%d %H:%M:%S} UTC")
    if state.ended and state.started:
        table.add_row("seconds", f"{(state.ended - state.started).total_seconds():.0f}")
    if state.progress:
        table.add_row("progress", state.progress)
    if state.message:
        table.add_row("message", state.message)
    out.print(table)
