"""What a run writes, in a folder or a bucket: rows.parquet, evaluation.json, index.html; where pictures of a head were
merged, many_photos.parquet too."""

import base64
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from facerecon_ray.config.evaluation import EvaluateJob
from facerecon_ray.evaluation.figures import ALL, METRICS, PREDICTORS, Figure, predictions
from facerecon_ray.evaluation.gates import GateResult
from facerecon_ray.evaluation.history import Night
from facerecon_ray.evaluation.job import Results
from facerecon_ray.evaluation.many_photos import MANY_PHOTOS_SCHEMA, many_photos_figures
from facerecon_ray.evaluation.rows import OK, UNUSABLE, rows_table
from facerecon_ray.report.evaluation_report import evaluation_report
from facerecon_ray.storage.objects import ObjectStore

ROWS, TOGETHER, SUMMARY, REPORT = "rows.parquet", "many_photos.parquet", "evaluation.json", "index.html"
RESULT_SCHEMA = 1
TREND_METRICS = ("nme", "landmark_nme", "recognition")
ERRORS = ("nme", "nme_corresponding", "landmark_nme")


def summary_of(
    job: EvaluateJob,
    results: Results,
    figures: Sequence[Figure],
    gates: Sequence[GateResult],
    nights: Sequence[Night],
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """Everything that a run says, as it stands in evaluation.json; the report is made from it alone.

    Parameters
    ----------
    job : the settings
    results : of the run
    figures : of its rows
    gates : their results
    nights : runs with the same data and protocol, the latest last, this one included
    provenance : where the result comes from
    """
    rows = results.rows
    return {
        "schema": RESULT_SCHEMA,
        "started": results.started.astimezone(UTC).isoformat(timespec="seconds"),
        "seconds": round(results.seconds, 1),
        "models": [model["name"] for model in provenance["models"]],
        "counts": _counts(rows),
        "penalties": {"nme": job.protocol.penalty, "landmark_nme": job.protocol.landmark_penalty},
        "metrics": {name: asdict(metric) for name, metric in METRICS.items()},
        "figures": [asdict(figure) for figure in figures],
        "many_photos": many_photos_figures(results.together),
        "predictors": {
            "measures": PREDICTORS,
            "correlations": [{"error": error, **found} for error in ERRORS for found in predictions(rows, error)],
        },
        "problems": _problems(rows),
        "notes": sorted({f"{row['item']}: {row['note']}" for row in rows if row.get("note")}),
        "outliers": [
            {**outlier.row, "picture": base64.b64encode(outlier.picture).decode()} for outlier in results.outliers
        ],
        "gates": [
            {
                "metric": result.gate.metric,
                "data": result.figure.data if result.figure else result.gate.data,
                "model": result.figure.model if result.figure else result.gate.model,
                "group": result.gate.group,
                "value": result.figure.value if result.figure else None,
                "limit": result.limit,
                "passed": result.passed,
                "note": result.note,
            }
            for result in gates
        ],
        "trend": [
            {"time": night.time.astimezone(UTC).isoformat(), "git_commit": night.git_commit, **asdict(figure)}
            for night in nights
            for figure in night.figures
            if figure.group == ALL and figure.metric in TREND_METRICS
        ],
        "provenance": provenance,
    }


def write_results(store: ObjectStore, results: Results, summary: dict[str, Any]) -> str:
    """Write the three files; full name of the report.

    Raises
    ------
    StorageError
        when one cannot be written
    """
    store.write(ROWS, _parquet(rows_table(results.rows)))
    if results.together:
        store.write(TOGETHER, _parquet(pa.Table.from_pylist(results.together, schema=MANY_PHOTOS_SCHEMA)))
    without_pictures = [
        {key: value for key, value in outlier.items() if key != "picture"} for outlier in summary["outliers"]
    ]
    store.write(SUMMARY, (json.dumps({**summary, "outliers": without_pictures}, indent=1) + "\n").encode())
    store.write(REPORT, evaluation_report(summary).encode())
    return store.describe(REPORT)


def _parquet(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def _counts(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Of each data set: items, those that could not be used, pictures, and rows by status."""
    counts = {}
    for data in sorted({row["data"] for row in rows}):
        some = [row for row in rows if row["data"] == data]
        usable = [row for row in some if row["status"] != UNUSABLE]
        counts[data] = {
            "items": len({row["item"] for row in some}),
            "unusable": len({row["item"] for row in some if row["status"] == UNUSABLE}),
            "pictures": len({(row["item"], row["yaw"], row["pitch"]) for row in usable}),
            "reconstructions": len(usable),
            "ok": sum(row["status"] == OK for row in usable),
        }
    return counts


def _problems(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reasons why rows are not ok, the most frequent first, each with an example."""
    bad = [row for row in rows if row["status"] != OK]
    keys = Counter((row["data"], row.get("model") or "", row["status"], row["error"]) for row in bad)
    first: dict[tuple[str, str, str, str | None], str] = {}
    for row in bad:
        first.setdefault((row["data"], row.get("model") or "", row["status"], row["error"]), row["item"])
    return [
        {"data": data, "model": model, "status": status, "reason": reason, "count": count, "example": first[key]}
        for key, count in keys.most_common()
        for data, model, status, reason in [key]
    ]
