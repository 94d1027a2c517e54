"""The part of the evaluation's report on faces that were made of several pictures of a head."""

import html
from typing import Any

from facerecon_ray.report.evaluation_charts import Series, line_chart

Figures = list[dict[str, Any]]
"""data, photos, within, metric, value and count each."""

LABELS = {"nme": "NME", "mm": "millimetres", "nme_corresponding": "NME without ICP"}


def many_photos(figures: Figures) -> str:
    """Tables and charts of all data sets; nothing where no pictures were merged."""
    parts = [_of_data(figures, data) for data in dict.fromkeys(figure["data"] for figure in figures)]
    if not parts:
        return ""
    return f"""<h2>One face of several pictures</h2>
<p>The pictures of a head stand for photos of a person: the shape is merged from all of them, the expression is the
mean of theirs. A row takes pictures within some yaw to both sides, the frontal one first and then those that lie
farthest from the ones before. Heads of whose pictures none shows a face are left out.</p>
{"".join(parts)}"""


def columns_of(figures: Figures, data: str) -> list[str]:
    """Heads of the table's columns."""
    return ["pictures", "within", "heads", *(LABELS[name] for name in _metrics(figures, data))]


def lines_of(figures: Figures, data: str) -> list[list[str]]:
    """The table's cells."""
    values = {(f["photos"], f["within"], f["metric"]): f for f in figures if f["data"] == data}
    lines = []
    for photos, within in sorted({key[:2] for key in values}):
        some = [values.get((photos, within, name)) for name in _metrics(figures, data)]
        count = max(figure["count"] for figure in some if figure)
        cells = [_written(figure) for figure in some]
        lines.append([f"{photos}", f"±{within:g}°", f"{count}", *cells])
    return lines


def _of_data(figures: Figures, data: str) -> str:
    head = "".join(f'<th class="number">{html.escape(name)}</th>' for name in columns_of(figures, data))
    rows = "".join(
        "<tr>" + "".join(f'<td class="number">{cell}</td>' for cell in line) + "</tr>"
        for line in lines_of(figures, data)
    )
    charts = "".join(f"<figure>{_chart(figures, data, name)}</figure>" for name in _metrics(figures, data))
    return f"""<h3>{html.escape(data)}</h3>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
<div class="charts">{charts}</div>"""


def _chart(figures: Figures, data: str, metric: str) -> str:
    """A line for each spread over the number of pictures; one picture is where all begin."""
    some = [figure for figure in figures if figure["data"] == data and figure["metric"] == metric]
    factor, unit = (1.0, "mm") if metric == "mm" else (100.0, "%")
    single = [figure for figure in some if figure["photos"] == 1]
    series: list[Series] = []
    for within in sorted({figure["within"] for figure in some if figure["photos"] > 1}):
        of_line = single + [figure for figure in some if figure["within"] == within and figure["photos"] > 1]
        of_line = sorted(
            {figure["photos"]: figure for figure in of_line}.values(), key=lambda figure: figure["photos"]
        )
        places, values = zip(*((figure["photos"], figure["value"] * factor) for figure in of_line), strict=True)
        series.append((f"within ±{within:g}°", places, values))
    if not series and single:
        series = [("one picture", [1], [single[0]["value"] * factor])]
    ticks = sorted({figure["photos"] for figure in some})
    return line_chart(f"{LABELS[metric]} by number of pictures", "pictures", unit, series, ticks)


def _metrics(figures: Figures, data: str) -> list[str]:
    there = {figure["metric"] for figure in figures if figure["data"] == data}
    return [name for name in LABELS if name in there]


def _written(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "–"
    return f"{figure['value']:.2f} mm" if figure["metric"] == "mm" else f"{figure['value'] * 100:.2f} %"
