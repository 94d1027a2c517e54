"""The evaluation's report: one HTML page without scripts that needs nothing else and asks nothing of any network."""

import json
from functools import partial
from typing import Any

from facerecon_ray.report import evaluation_sections as sections
from facerecon_ray.report.evaluation_figures import FigureTable
from facerecon_ray.report.many_photos import many_photos
from facerecon_ray.report.pages import render, resource

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def evaluation_report(summary: dict[str, Any]) -> str:
    """Make the page.

    Parameters
    ----------
    summary : the contents of evaluation.json, with a base64 JPEG as `picture` of each outlier

    Returns
    -------
    HTML
    """
    table = FigureTable(summary["figures"], summary["models"], summary["metrics"])
    correlations = summary["predictors"]["correlations"]
    return render(
        "evaluation_report.html",
        policy=POLICY,
        style=resource("evaluation_report.css"),
        summary=summary,
        table=table,
        known=_facts(summary),
        in_words=sections.in_words(table),
        data_names=sections.DATA_NAMES,
        data_meanings=sections.DATA_MEANINGS,
        metrics_of=partial(sections.metrics_of, table),
        pose_charts=partial(sections.pose_charts, table),
        attribute_charts=partial(sections.attribute_charts, table),
        many_photos=many_photos(summary["many_photos"]),
        rotation_measures=sections.rotation_measures,
        predicted=sections.predicted(summary),
        strongest=max(correlations, key=lambda row: abs(row["correlation"]), default=None),
        strong=sections.STRONG,
        weak=sections.WEAK,
        most_problems=sections.MOST_PROBLEMS,
        trend=sections.trend(summary),
        metrics_shown=sections.metrics_shown(table),
        provenance=json.dumps(summary["provenance"], indent=1),
    )


def _facts(summary: dict[str, Any]) -> list[tuple[str, str]]:
    counts = summary["counts"].values()
    items = sum(count["items"] - count["unusable"] for count in counts)
    return [
        (f"{items:,}", "subjects or photos"),
        (f"{sum(count['pictures'] for count in counts):,}", "pictures"),
        (f"{len(summary['models'])}", "models"),
        (f"{summary['seconds'] / 60:.1f} min", "duration"),
    ]
