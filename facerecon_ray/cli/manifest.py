"""`facerecon manifest`: counts, failures and rows of finished or running jobs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facerecon_ray.cli.app import app, err, out
from facerecon_ray.cli.options import EndpointOption

if TYPE_CHECKING:
    import pyarrow as pa

    from facerecon_ray.storage.manifest import Manifest
    from facerecon_ray.storage.manifest_query import Conditions

MANIFEST_EXAMPLES = """
[bold]Examples[/bold]

facerecon manifest out

facerecon manifest s3://bucket/meshes --status failed --status unreadable

facerecon manifest out --yaw-over 60 --parquet turned.parquet

facerecon manifest out --where "abs(yaw) > 60 and quality > 0.8 and photo_width > 1000"

facerecon manifest monday tuesday --join --csv both.csv
"""

_SHOWN = ["photo_uri", "face_index", "status", "pose", "quality", "error"]


@app.command(epilog=MANIFEST_EXAMPLES)
def manifest(
    outputs: Annotated[
        list[str], typer.Argument(metavar="OUT...", help="Outputs of jobs: folders or s3:// prefixes.")
    ],
    status: Annotated[
        list[str] | None, typer.Option(help="Only rows with this status: ok, no_face, unreadable, failed; repeatable.")
    ] = None,
    yaw_over: Annotated[float | None, typer.Option(help="Only faces turned by more degrees, to either side.")] = None,
    quality_under: Annotated[float | None, typer.Option(help="Only faces with less quality (0 to 1).")] = None,
    photo: Annotated[str, typer.Option(help="Only photos whose URI contains this text.")] = "",
    where: Annotated[
        str | None, typer.Option(metavar="CONDITION", help="Only rows of which this SQL condition is true.")
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Faces of several outputs side by side instead of one below the other.")
    ] = False,
    limit: Annotated[int, typer.Option(help="Rows that are shown; files get all.", min=0)] = 20,
    csv: Annotated[Path | None, typer.Option(help="Write the rows into this file, without landmarks.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write the rows with all their columns into this file.")] = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Count what jobs made of their photos, and find rows; docs/manifest.md explains the columns."""
    from facerecon_ray.config.storage import S3Settings
    from facerecon_ray.errors import SettingsError
    from facerecon_ray.storage.manifest_query import STATUSES, Conditions, open_manifests
    from facerecon_ray.storage.row_filter import RowFilter

    for value in status or []:
        if value not in STATUSES:
            raise SettingsError(f"--status {value!r}: choose {', '.join(STATUSES)}")
    if join and len(outputs) < 2:
        raise SettingsError("--join: name at least two outputs")
    conditions = Conditions(tuple(status or ()), yaw_over, quality_under, photo, RowFilter(where) if where else None)
    manifests = open_manifests(outputs, S3Settings(endpoint_url=endpoint_url))
    if csv or parquet:
        _export(manifests, outputs, conditions, join, csv, parquet)
    elif conditions.any or join:
        _show_rows(manifests, outputs, conditions, join, limit)
    else:
        _show_counts(manifests, outputs, limit)


def _show_counts(manifests: "Sequence[Manifest]", outputs: Sequence[str], limit: int) -> None:
    from rich.table import Table

    from facerecon_ray.storage.manifest_query import failure_kinds

    totals = [manifest.totals() for manifest in manifests]
    names = [
        ("photos", ""),
        ("faces", "ok"),
        ("no face", "no_face"),
        ("unreadable", "unreadable"),
        ("failed", "failed"),
    ]
    table = Table("output", *(name for name, _ in names))
    for output, total in zip(outputs, totals, strict=True):
        table.add_row(output, *(f"{total.rows.get(key, 0) if key else total.photos:,}" for _, key in names))
    out.print(table)
    kinds = failure_kinds(manifests)
    if kinds:
        reasons = Table("rows", "status")
        for heading in ("reason", "for example"):
            reasons.add_column(heading, overflow="fold")
        for kind in kinds[:limit]:
            reasons.add_row(f"{kind.rows:,}", kind.status, kind.reason, kind.examples[0][0])
        out.print(reasons)


def _show_rows(
    manifests: "Sequence[Manifest]", outputs: Sequence[str], conditions: "Conditions", join: bool, limit: int
) -> None:
    import pyarrow as pa
    from rich.table import Table

    from facerecon_ray.storage.row_filter import flatten

    found, kept = 0, 0
    shown: list[pa.Table] = []
    for part in _rows(manifests, outputs, conditions, join, _SHOWN):
        found += len(part)
        if kept < limit:
            shown.append(flatten(part.slice(0, limit - kept)))
            kept += len(shown[-1])
    rows = pa.concat_tables(shown) if shown else None
    if rows is not None and len(rows):
        table = Table()
        for name in rows.column_names:
            table.add_column(name, overflow="fold")
        for row in rows.to_pylist():
            table.add_row(*map(_text, row.values()))
        out.print(table)
    out.print(f"{found:,} rows" + (f", the first {kept} shown" if kept < found else ""))


def _export(
    manifests: "Sequence[Manifest]",
    outputs: Sequence[str],
    conditions: "Conditions",
    join: bool,
    csv: Path | None,
    parquet: Path | None,
) -> None:
    from facerecon_ray.storage.manifest_export import write_csv, write_parquet

    for target, write in ((csv, write_csv), (parquet, write_parquet)):
        if target:
            rows = write(_rows(manifests, outputs, conditions, join, None), target)
            err.print(f"Wrote {rows:,} rows to {target}", markup=False)


def _rows(
    manifests: "Sequence[Manifest]",
    outputs: Sequence[str],
    conditions: "Conditions",
    join: bool,
    columns: list[str] | None,
) -> "Iterator[pa.Table]":
    from facerecon_ray.storage.manifest_query import join_runs, select_rows

    return iter([join_runs(manifests, conditions)]) if join else select_rows(manifests, outputs, conditions, columns)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)
