"""The page about a job's runs: how fast, where the time went, and what failed. One file that asks nothing of others.

It shows no pixels of photos, except, where the job wrote previews, small ones of the faces with the lowest quality.
"""

import base64
import heapq
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from PIL import Image

from facerecon_ray.errors import StorageError
from facerecon_ray.report.pages import content_policy, duration, render, resource
from facerecon_ray.report.run_charts import Bar, bar_chart, line_chart
from facerecon_ray.storage.layout import RUN_REPORT
from facerecon_ray.storage.manifest import Manifest, Totals
from facerecon_ray.storage.manifest_query import Conditions, failure_kinds
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.packs import file_columns, read_face_file
from facerecon_ray.storage.run_record import Run, load_record
from facerecon_ray.storage.schema import TIMED_STAGES
from facerecon_ray.storage.uris import name_of

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
    style = resource("run_report.css")
    shows_previews = bool(record and record.settings.get("export", {}).get("previews"))
    page = render(
        "run_report.html",
        policy=content_policy([], [style], "img-src data:"),
        style=style,
        title=name_of(output.uri.rstrip("/")),
        known=_facts(totals, runs),
        throughput=line_chart(_rates(runs), "minutes", "faces a second"),
        stages=_stages(totals, runs),
        failures=failure_kinds([manifest]),
        most_kinds=_MOST_KINDS,
        worst=_worst(output, manifest) if shows_previews else [],
        runs=runs,
        record=record,
    )
    output.write(RUN_REPORT, page.encode())
    return output.link(RUN_REPORT)


def _facts(totals: Totals, runs: Sequence[Run]) -> list[tuple[str, str]]:
    rates = [run.faces_per_second for run in runs if run.faces_per_second]
    facts = [(f"{totals.photos:,}", "photos"), (f"{totals.rows.get('ok', 0):,}", "faces")]
    facts += [(f"{totals.rows.get(status, 0):,}", status) for status in ("unreadable", "failed")]
    facts += [(duration(sum(run.seconds for run in runs)), "of work")]
    facts += [(f"{rates[-1]:.1f}", "faces a second")] if rates else []
    return facts


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


def _worst(output: OutputFolder, manifest: Manifest) -> list[tuple[dict[str, Any], str]]:
    """The faces with the lowest quality whose previews are there, and these, small, as data: URLs."""
    worst: list[dict[str, Any]] = []
    for table in manifest.tables(["photo_uri", "face_index", "status", "quality", *file_columns("preview")]):
        rows = (row for row in Conditions(status=("ok",)).select(table).to_pylist() if row["preview_uri"])
        worst = heapq.nsmallest(_WORST_FACES, [*worst, *rows], key=_by_quality)
    return [(face, picture) for face in worst if (picture := _small_picture(output, face))]


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
