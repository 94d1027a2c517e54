"""`facerecon evaluate`: how good the meshes are, and whether they still are."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facerecon_ray.cli.app import EXIT_STOPPED, app, err, out
from facerecon_ray.cli.options import AddressOption, AssignmentsOption, ConfigOption, EndpointOption, overrides_of
from facerecon_ray.cli.progress import showing

if TYPE_CHECKING:
    from facerecon_ray.evaluation.nightly import Outcome

EXIT_GATE_FAILED = 3

EVALUATE_EXAMPLES = """
[bold]Examples[/bold]

facerecon evaluate

facerecon evaluate --models fitted,mean-face,two-view=weights.safetensors --subjects 10

facerecon evaluate --scans MICC_Florence --output s3://bucket/evaluation/today

facerecon evaluate --photos-per-person 1,2,3,5,9,27

facerecon evaluate --data embedded,foreign=heads --models fitted,mean-face

facerecon evaluate --data embedded,landmarks=AFLW2000-3D --output out/evaluation

facerecon evaluate --config jobs/evaluate_nightly.yaml --history s3://bucket/history --gates jobs/evaluation_gates.yaml

Exit code 3 when a gate fails. Look at OUTPUT/index.html afterwards.
"""


@app.command(epilog=EVALUATE_EXAMPLES)
def evaluate(
    models: Annotated[
        str | None,
        typer.Option(
            help="Models, with commas between them: fitted, mean-face, two-view=WEIGHTS, two-view-unrotated=WEIGHTS, "
            "prnet=WEIGHTS, or a .safetensors file."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data sets, with commas between them: embedded, foreign=DIR, scans=DIR, landmarks=DIR."),
    ] = None,
    subjects: Annotated[int | None, typer.Option(help="Embedded held-out subjects.")] = None,
    foreign: Annotated[
        Path | None, typer.Option(help="Foreign heads, a folder that `facerecon model people` made.")
    ] = None,
    scans: Annotated[Path | None, typer.Option(help="Textured scans in the layout of MICC Florence.")] = None,
    landmarks: Annotated[Path | None, typer.Option(help="Photos with landmarks in the layout of AFLW2000-3D.")] = None,
    photos_per_person: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,...", help="Make one face of so many pictures of a head, for the error by their number."
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Folder or s3://bucket/prefix for the results.")
    ] = None,
    history: Annotated[
        str | None, typer.Option(help="Folder or s3://bucket/prefix that gets every run's figures.")
    ] = None,
    gates: Annotated[Path | None, typer.Option(help="YAML file of the gates that the run must pass.")] = None,
    endpoint_url: EndpointOption = None,
    config: ConfigOption = None,
    assignments: AssignmentsOption = None,
    address: AddressOption = None,
) -> None:
    """Evaluate the models on embedded subjects, foreign heads, scans or photos with landmarks, and write a report."""
    from facerecon_ray.config.evaluation import EvaluateJob
    from facerecon_ray.config.settings import load_job
    from facerecon_ray.errors import InputError

    options = {
        "models": models.split(",") if models else None,
        "photos_per_person": photos_per_person.split(",") if photos_per_person else None,
        "output": output,
        "history": history,
        "gates": gates,
        "s3.endpoint_url": endpoint_url,
        **_data_options(data),
        **{
            name: value
            for name, value in (
                ("data.subjects", subjects),
                ("data.foreign", foreign),
                ("data.scans", scans),
                ("data.landmarks", landmarks),
            )
            if value is not None
        },
    }
    outcome = _run(load_job(EvaluateJob, config, overrides_of(options, assignments)), address)
    _summarise(outcome)
    if outcome.fruitless:
        raise InputError(f"{outcome.fruitless}; the report has all reasons")
    if not outcome.passed:
        sys.exit(EXIT_GATE_FAILED)


def _data_options(text: str | None) -> dict[str, Any]:
    from facerecon_ray.errors import SettingsError

    options: dict[str, Any] = {}
    for part in text.split(",") if text else []:
        name, _, folder = part.strip().partition("=")
        if name == "embedded" and not folder:
            from facerecon_ray.evaluation.items import DEFAULT_SUBJECTS

            options["data.subjects"] = DEFAULT_SUBJECTS
        elif name in ("foreign", "scans", "landmarks") and folder:
            options[f"data.{name}"] = folder
        else:
            raise SettingsError(f"--data {part!r}: write embedded, foreign=DIR, scans=DIR or landmarks=DIR")
    return options


def _run(job: Any, address: str | None) -> "Outcome":
    from facerecon_ray.evaluation.nightly import check_requirements
    from facerecon_ray.evaluation.nightly import evaluate as run
    from facerecon_ray.jobs.session import ray_session

    try:
        check_requirements(job)
        with ray_session(address), showing("evaluating", "tasks") as progress:
            return run(job, progress)
    except KeyboardInterrupt:
        err.print("Stopped; nothing was written.", markup=False)
        sys.exit(EXIT_STOPPED)


def _summarise(outcome: "Outcome") -> None:
    from rich.table import Table

    from facerecon_ray.report.evaluation_figures import FigureTable

    summary = outcome.summary
    figures = FigureTable(summary["figures"], summary["models"], summary["metrics"])
    for data in figures.data_sets:
        count = summary["counts"][data]
        unusable = f", {count['unusable']} could not be used" if count["unusable"] else ""
        shown = [
            name
            for name in ("nme", "mm", "nme_corresponding", "landmark_nme", "recognition", "share_reconstructed")
            if figures.has(data, name)
        ]
        table = Table(
            "model",
            title=f"{data}: {count['pictures']} pictures of {count['items'] - count['unusable']} subjects{unusable}",
            title_justify="left",
        )
        for name in shown:
            table.add_column(figures.metrics[name]["label"], justify="right")
        for model in figures.models:
            table.add_row(model, *(figures.written(name, figures.value(data, model, name)) for name in shown))
        out.print(table)
    _show_many_photos(summary["many_photos"])
    _show_gates(outcome)
    if outcome.webhook_problem:
        err.print(f"The webhook was not told: {outcome.webhook_problem}", style="yellow", markup=False)
    out.print(f"Report: {outcome.report}", markup=False)


def _show_many_photos(figures: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from facerecon_ray.report.many_photos import columns_of, lines_of

    for data in dict.fromkeys(figure["data"] for figure in figures):
        table = Table(*columns_of(figures, data), title=f"{data}: one face of several pictures", title_justify="left")
        for line in lines_of(figures, data):
            table.add_row(*line)
        out.print(table)


def _show_gates(outcome: "Outcome") -> None:
    from rich.table import Table

    if not outcome.gates:
        return
    table = Table("gate", "metric", "model", "data", "group", "value", "limit", title="Gates", title_justify="left")
    for result in sorted(outcome.gates, key=lambda result: result.passed):
        figure = result.figure
        table.add_row(
            "passed" if result.passed else "FAILED",
            result.gate.metric,
            figure.model if figure else result.gate.model or "",
            figure.data if figure else result.gate.data or "",
            result.gate.group,
            f"{figure.value:.4g}" if figure else result.note,
            result.limit,
            style="" if result.passed else "red",
        )
    out.print(table)
