"""The page about a job's runs: how fast, where the time went, and what failed. One file that asks nothing of others.

It shows no pixels of photos, except, where the job wrote previews, small ones of the faces with the lowest quality.
"""

import base64
import hashlib
import heapq
import html
import io
from collections.abc import Sequence
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Any

from PIL import Image

from facerecon_ray.errors import StorageError
from facerecon_ray.report.run_charts import Bar, bar_chart, line_chart
from facerecon_ray.storage.layout import RUN_REPORT
from facerecon_ray.storage.manifest import Manifest, Totals
from facerecon_ray.storage.manifest_query import Conditions, FailureKind, failure_kinds
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import file_columns, read_face_file
from facerecon_ray.storage.run_record import Run, RunRecord, load_record
from facerecon_ray.storage.schema import TIMED_STAGES
from facerecon_ray.storage.uris import as_bytes, name_of

_MOST_KINDS = 30
_WORST_FACES = 6
_PREVIEW_WIDTH = 420
_SMOOTHED_POINTS = 60
*_, _LAST, _WRITING = TIMED_STAGES
"""The last stage, and what its workers do beside it."""


def write_run_report(output: OutputFolder) -> str:
    """Write OUT/report.html for a job's output with its manifest and run.json; the page's address."""
    manifest = Manifest(output)
    record, totals = load_record(output.store), manifest.totals()
    runs = record.runs if record else []
    style = files("facerecon_ray.report").joinpath("run_report.css").read_text("utf-8")
    template = files("facerecon_ray.report").joinpath("run_report.html").read_text("utf-8")
    shows_previews = bool(record and record.settings.get("export", {}).get("previews"))
    page = Template(template).substitute(
        policy=html.escape(_policy(style)),
        style=style,
        title=html.escape(_printable(name_of(output.uri.rstrip("/")))),
        facts=_facts(totals, runs),
        throughput=line_chart(_rates(runs), "minutes", "faces a second") or _nothing("There are no samples."),
        stages=_stages(totals, runs) or _nothing("No face came through."),
        failures=_failures(failure_kinds([manifest])),
        worst=_worst(output, manifest) if shows_previews else "",
        runs="\n".join(map(_run, runs)),
        footer=_footer(record),
    )
    output.write(RUN_REPORT, as_bytes(page))
    return output.link(RUN_REPORT)


def _facts(totals: Totals, runs: Sequence[Run]) -> str:
    rates = [run.faces_per_second for run in runs if run.faces_per_second]
    facts = [(f"{totals.photos:,}", "photos"), (f"{totals.rows.get('ok', 0):,}", "faces")]
    facts += [(f"{totals.rows.get(status, 0):,}", status) for status in ("unreadable", "failed")]
    facts += [(_duration(sum(run.seconds for run in runs)), "of work")]
    facts += [(f"{rates[-1]:.1f}", "faces a second")] if rates else []
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for value, name in facts)


def _rates(runs: Sequence[Run]) -> list[list[tuple[float, float]]]:
    """(minutes of work, faces a second) of each run; dense samples are averaged."""
    lines, before = [], 0.0
    for run in runs:
        samples = run.timeline[:: max(1, len(run.timeline) // _SMOOTHED_POINTS)]
        if run.timeline and samples[-1] != run.timeline[-1]:
            samples = [*samples, run.timeline[-1]]
        steps = [(then, now) for then, now in pairwise(samples) if now[0] > then[0]]
        rates = [(now[2] - then[2]) / (now[0] - then[0]) for then, now in steps]
        line = [((before + (now[0] + then[0]) / 2) / 60, rate) for (then, now), rate in zip(steps, rates, strict=True)]
        if steps:
            first, last = steps[0][0][0], steps[-1][1][0]
            line = [((before + first) / 60, rates[0]), *line, ((before + last) / 60, rates[-1])]
        lines.append(line)
        before += samples[-1][0] if samples else 0.0
    return [line for line in lines if line]


def _stages(totals: Totals, runs: Sequence[Run]) -> str:
    """Bars of the stages: time a face, and how busy the last run's workers were.

    The manifest has the seconds of all runs; the busy share takes the part of the last one by its number of photos.
    """
    faces = totals.rows.get("ok", 0)
    if not faces:
        return ""
    seconds = dict(totals.stage_seconds)
    seconds[_LAST] = sum(seconds.pop(name, 0.0) for name in (_LAST, _WRITING))
    last = runs[-1] if runs else None
    bars = []
    for stage, total in seconds.items():
        pool = last.pools.get(stage) if last else None
        busy = 0.0
        if last and pool and last.seconds and totals.photos:
            busy = total * last.photos / totals.photos / (pool["workers"] * last.seconds)
        plural = "s" if pool and pool["workers"] > 1 else ""
        workers = f", {pool['workers']:g} worker{plural} {busy:.0%} busy" if pool else ""
        bars.append(Bar(stage, 1000 * total / faces, busy, f"{1000 * total / faces:.1f} ms{workers}"))
    return bar_chart(bars, "milliseconds a face by stage")


def _failures(kinds: Sequence[FailureKind]) -> str:
    if not kinds:
        return _nothing("Nothing failed.")
    rows = []
    for kind in kinds[:_MOST_KINDS]:
        examples = "".join(f"<small>{html.escape(_printable(photo))}</small>" for photo, _ in kind.examples)
        rows.append(
            f'<tr><td class="number">{kind.rows:,}</td><td>{html.escape(kind.status)}</td>'
            f"<td>{html.escape(kind.reason)}{examples}</td></tr>"
        )
    more = f"{len(kinds) - _MOST_KINDS} more kinds are in the manifest." if len(kinds) > _MOST_KINDS else ""
    heading = "<thead><tr><th>Rows</th><th>Status</th><th>Reason, and photos it happened to</th></tr></thead>"
    return f"<table>{heading}<tbody>{''.join(rows)}</tbody></table>{_nothing(more) if more else ''}"


def _worst(output: OutputFolder, manifest: Manifest) -> str:
    """The faces with the lowest quality, with small previews."""
    worst: list[dict[str, Any]] = []
    for table in manifest.tables(["photo_uri", "face_index", "status", "quality", *file_columns("preview")]):
        rows = (row for row in Conditions(status=("ok",)).select(table).to_pylist() if row["preview_uri"])
        worst = heapq.nsmallest(_WORST_FACES, [*worst, *rows], key=_by_quality)
    figures = [
        f'<figure><img src="{picture}" alt=""><figcaption>{html.escape(_printable(name_of(face["photo_uri"])))}, '
        f"face {face['face_index']}: quality {face['quality']:.2f}</figcaption></figure>"
        for face in worst
        if (picture := _small_picture(output, face))
    ]
    if not figures:
        return ""
    return f'<section><h2>Lowest quality</h2><div class="faces">{"".join(figures)}</div></section>'


def _by_quality(row: dict[str, Any]) -> tuple[float, str, int]:
    return row["quality"], row["photo_uri"], row["face_index"]


def _small_picture(output: OutputFolder, face: dict[str, Any]) -> str:
    """A face's preview as a data: URL, "" when it is not there."""
    try:
        picture = Image.open(io.BytesIO(read_face_file(output.store, face, "preview"))).convert("RGB")
    except (StorageError, OSError):
        return ""
    picture.thumbnail((_PREVIEW_WIDTH, _PREVIEW_WIDTH))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _run(run: Run) -> str:
    rate = f"{run.faces_per_second:.1f}" if run.faces_per_second else ""
    workers = ", ".join(f"{name} {pool['workers']:g}" for name, pool in run.pools.items())
    numbers = (_duration(run.seconds), f"{run.photos:,}", f"{run.faces:,}", rate)
    cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
    started = html.escape(run.started.replace("T", " ").replace("+00:00", " UTC"))
    return f"<tr><td>{started}</td><td>{run.outcome}</td>{cells}<td>{html.escape(workers)}</td></tr>"


def _footer(record: RunRecord | None) -> str:
    if record is None:
        return ""
    host: dict[str, Any] = record.host
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    return html.escape(f"facerecon_ray {record.facerecon_ray}; {versions}; driver on {host.get('cpus')} CPUs")


def _nothing(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def _printable(text: str) -> str:
    """Text for people; bytes of file names that are none become replacement characters."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _policy(style: str) -> str:
    """Nothing is loaded from anywhere, and nothing runs."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
