"""The part of the evaluation's report on faces that were made of several pictures of a head."""

from typing import Any

from facerecon_ray.report.evaluation_charts import Series, line_chart

Figures = list[dict[str, Any]]
"""data, photos, within, metric, value and count each."""

LABELS = {"nme": "NME", "mm": "millimetres", "nme_corresponding": "NME without ICP"}


def many_photos(figures: Figures) -> list[tuple[str, list[str], list[list[str]], list[str]]]:
    """Of each data set its name, the table's heads and cells, and the charts."""
    return [
        (
            data,
            columns_of(figures, data),
            lines_of(figures, data),
            [_chart(figures, data, name) for name in _metrics(figures, data)],
        )
        for data in dict.fromkeys(figure["data"] for figure in figures)
    ]


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
