import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from facerecon_ray.report.evaluation_report import evaluation_report
from facerecon_ray.report.outlier_picture import heat_colours

METRICS = {
    "nme": {"label": "NME", "better": "lower", "unit": "percent", "meaning": "of the size"},
    "recognition": {"label": "recognition", "better": "higher", "unit": "number", "meaning": "cosine"},
    "share_reconstructed": {"label": "reconstructed", "better": "higher", "unit": "percent", "meaning": "share"},
}


def figure(model: str, metric: str, value: float, group: str = "all") -> dict[str, Any]:
    return {"data": "scans", "model": model, "group": group, "metric": metric, "value": value, "count": 9}


def summary(**others: Any) -> dict[str, Any]:
    figures = [figure(model, "nme", value) for model, value in (("fitted", 0.021), ("<b>net</b>", 0.018))]
    figures += [figure("fitted", "recognition", 0.9), figure("<b>net</b>", "recognition", 0.8)]
    for yaw in (-20, 0, 20):
        figures += [figure(model, "nme", 0.02, f"yaw {yaw:+g}") for model in ("fitted", "<b>net</b>")]
    base: dict[str, Any] = {
        "started": "2026-03-01T03:15:00+00:00",
        "seconds": 300.0,
        "models": ["fitted", "<b>net</b>"],
        "counts": {"scans": {"items": 3, "unusable": 1, "pictures": 6, "reconstructions": 12, "ok": 11}},
        "penalties": {"nme": 0.1, "landmark_nme": 0.5},
        "metrics": METRICS,
        "figures": figures,
        "many_photos": [],
        "predictors": {"measures": {"fit_error": "how far off"}, "correlations": []},
        "problems": [],
        "notes": [],
        "outliers": [],
        "gates": [],
        "trend": [],
        "provenance": {"git_commit": None, "models": [{"name": "fitted", "description": "fit"}]},
    }
    return base | others


class Tags(HTMLParser):
    """Checks that every tag is closed, and collects what is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "img", "br", "path", "use", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_is_well_formed_and_names_cannot_break_it() -> None:
    page, tags = evaluation_report(summary()), Tags()
    tags.feed(page)
    assert tags.open == []
    assert "<b>net</b>" not in page
    assert "&lt;b&gt;net&lt;/b&gt;" in page
    assert "script" not in tags.seen


def test_the_best_value_of_each_column_is_marked_by_what_is_better() -> None:
    page = evaluation_report(summary())
    best = re.findall(r'class="number best">([^<]+)<', page)
    assert "1.80 %" in best
    assert "0.90" in best
    assert "2.10 %" not in best


def test_every_yaw_is_on_the_axis_of_the_figure() -> None:
    page = evaluation_report(summary())
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert all(f">{tick}<" in svg.replace("\u2212", "-") for tick in ("-20", "0", "20"))


def test_a_failed_gate_is_what_one_sees_first() -> None:
    gate = {"metric": "nme", "data": "scans", "model": "fitted", "group": "all", "value": 0.021, "note": ""}
    gates = [gate | {"limit": "at most 0.03", "passed": True}, gate | {"limit": "at most 0.02", "passed": False}]
    page = evaluation_report(summary(gates=gates))
    assert "1 of 2 gates failed" in page
    assert page.index("at most 0.02") < page.index("at most 0.03")
    assert "all gates passed" in evaluation_report(summary(gates=gates[:1]))


def test_failures_are_listed_with_their_number_and_reason() -> None:
    problem = {"data": "scans", "model": "fitted", "status": "not_reconstructed", "reason": "no face was found"}
    page = evaluation_report(summary(problems=[problem | {"count": 7, "example": "subject_09"}]))
    assert "no face was found" in page
    assert "for example subject_09" in page


def test_a_run_that_reconstructed_nothing_still_has_a_report() -> None:
    page = evaluation_report(summary(figures=[figure("fitted", "share_reconstructed", 0.0)]))
    assert "nothing was reconstructed" in page


@pytest.mark.parametrize("nights", [1, 3])
def test_the_trend_is_drawn_from_the_second_night_on(nights: int) -> None:
    points = [
        {"time": f"2026-03-0{day + 1}T03:15:00+00:00", "git_commit": None, **figure("fitted", "nme", 0.02 + day / 1e3)}
        for day in range(nights)
    ]
    assert ("<h2>Trend</h2>" in evaluation_report(summary(trend=points))) == (nights > 1)


def test_the_report_needs_no_more_than_the_json() -> None:
    plain = json.loads(json.dumps(summary()))
    assert evaluation_report(plain) == evaluation_report(summary())


def test_larger_errors_are_darker() -> None:
    brightness = heat_colours(np.array([0.0, 0.01, 0.03, 0.05, 1.0])).sum(1).tolist()
    assert brightness == sorted(brightness, reverse=True)
    assert brightness[3] == brightness[4]
