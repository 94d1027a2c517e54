"""The evaluation's report: one HTML page without scripts that needs nothing else and asks nothing of any network."""

import html
import json
from importlib.resources import files
from typing import Any

from facerecon_ray.report import evaluation_sections as sections
from facerecon_ray.report.evaluation_figures import FigureTable
from facerecon_ray.report.many_photos import many_photos

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
    parts = [
        _header(summary, table),
        sections.gates(summary),
        *(sections.data_set(summary, table, data) for data in table.data_sets),
        many_photos(summary["many_photos"]),
        sections.outliers(summary),
        sections.predictors(summary),
        sections.problems(summary),
        sections.trend(summary),
        sections.terms(summary, table),
        _provenance(summary),
    ]
    style = files("facerecon_ray.report").joinpath("evaluation_report.css").read_text(encoding="utf-8")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>How good are the meshes? {html.escape(summary["started"][:10])}</title>
<style>{style}</style>
</head>
<body>
{"".join(parts)}
</body>
</html>
"""


def _header(summary: dict[str, Any], table: FigureTable) -> str:
    counts = summary["counts"]
    items = sum(count["items"] - count["unusable"] for count in counts.values())
    pictures = sum(count["pictures"] for count in counts.values())
    facts = [
        (f"{items:,}", "subjects or photos"),
        (f"{pictures:,}", "pictures"),
        (f"{len(summary['models'])}", "models"),
        (f"{summary['seconds'] / 60:.1f} min", "duration"),
    ]
    failed = sum(not gate["passed"] for gate in summary["gates"])
    verdict = ""
    if summary["gates"]:
        text = f"{failed} of {len(summary['gates'])} gates failed" if failed else "all gates passed"
        verdict = f'<p class="verdict{" failed" if failed else ""}">{text}</p>'
    shown = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for value, label in facts)
    return f"""<header>
<h1>How good are the meshes?</h1>
<p class="soft">Evaluation of {html.escape(summary["started"].replace("T", " ").replace("+00:00", " UTC"))}</p>
{verdict}
<dl class="facts">{shown}</dl>
{sections.in_words(table)}
</header>"""


def _provenance(summary: dict[str, Any]) -> str:
    text = html.escape(json.dumps(summary["provenance"], indent=1))
    commit = html.escape(summary["provenance"]["git_commit"] or "unknown")
    return f"""<h2>Where this comes from</h2>
<p class="note">Code {commit}; the same folder holds every row (rows.parquet) and all figures (evaluation.json).</p>
<details><summary>Packages, weights, data, settings and machine</summary><pre>{text}</pre></details>"""
