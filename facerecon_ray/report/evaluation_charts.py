"""Charts of an evaluation: as SVG text, to stand in the report, and as PNG."""

import io
import itertools
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from facerecon_ray.errors import AssetError

COLOURS = ("#1f5fbf", "#d9772b", "#3c9a5f", "#b23a48", "#7a5fb5", "#6b6f76")
MARKERS = ("o", "s", "^", "D", "v", "P")
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#b9b6b0",
    "axes.labelcolor": "#54565c",
    "xtick.color": "#54565c",
    "ytick.color": "#54565c",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ebe9e5",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "lines.linewidth": 2.0,
    "lines.markersize": 5.5,
}

Series = tuple[str, Sequence[float], Sequence[float]]
"""Name, places and values of a line."""


def line_chart(title: str, x_label: str, y_label: str, series: Sequence[Series], ticks: Sequence[float]) -> str:
    """A line for each model; the vertical axis starts at 0.

    Parameters
    ----------
    title : above the chart, and for screen readers
    series : values in the unit of y_label
    ticks : of the horizontal axis
    """
    return _svg(title, _lines(x_label, y_label, series, ticks), len(series) > 1, 6.4)


def line_chart_png(
    title: str,
    x_label: str,
    y_label: str,
    series: Sequence[Series],
    ticks: Sequence[float],
    text: dict[str, str],
) -> bytes:
    """The same as a PNG of 800 pixels' width; `text` is written into its tEXt chunks by keyword."""
    drawn = _lines(x_label, y_label, series, ticks)
    return _drawn(title, drawn, len(series) > 1, 6.4, 3.4, format="png", dpi=125, metadata={"Software": None} | text)


def _lines(x_label: str, y_label: str, series: Sequence[Series], ticks: Sequence[float]) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        for (name, places, values), colour, marker in zip(series, itertools.cycle(COLOURS), itertools.cycle(MARKERS)):
            axes.plot(places, values, color=colour, marker=marker, label=name)
        axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        axes.set_ylim(0, max((value for _, _, values in series for value in values), default=1.0) * 1.12)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)

    return draw


def trend_chart(title: str, y_label: str, series: Sequence[tuple[str, Sequence[datetime], Sequence[float]]]) -> str:
    """Values of earlier runs over time, a line for each model; the axis shows the range of the values."""

    def draw(axes: Any) -> None:
        for (name, times, values), colour, marker in zip(series, itertools.cycle(COLOURS), itertools.cycle(MARKERS)):
            axes.plot(times, values, color=colour, marker=marker, label=name)
        values = [value for _, _, some in series for value in some]
        margin = max((max(values) - min(values)) * 0.25, max(map(abs, values)) * 0.02, 1e-6)
        axes.set_ylim(min(values) - margin, max(values) + margin)
        axes.set_ylabel(y_label)
        axes.figure.autofmt_xdate(rotation=25)

    return _svg(title, draw, len(series) > 1, 6.4)


def bar_chart(title: str, x_label: str, groups: Sequence[str], series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """Horizontal bars, a group of them for each name, a bar in it for each model; nan leaves a bar out."""

    def draw(axes: Any) -> None:
        height = 0.8 / len(series)
        for index, ((name, values), colour) in enumerate(zip(series, itertools.cycle(COLOURS))):
            places = [group - 0.4 + height * (index + 0.5) for group in range(len(groups))]
            axes.barh(places, values, height * 0.92, color=colour, label=name)
        axes.set_yticks(range(len(groups)), groups)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(x_label)

    return _svg(title, draw, len(series) > 1, 6.4, 1.1 + 0.32 * len(groups) * max(1.0, len(series) / 2))


def _svg(title: str, draw: Callable[[Any], None], legend: bool, width: float, height: float = 3.4) -> str:
    metadata = {"Date": None, "Creator": None}
    text = _drawn(title, draw, legend, width, height, format="svg", transparent=True, metadata=metadata).decode()
    svg = re.sub("<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return svg[svg.index("<svg") :].replace("<svg", '<svg role="img"', 1)


def _drawn(
    title: str, draw: Callable[[Any], None], legend: bool, width: float, height: float, **options: Any
) -> bytes:
    """Contents of a file, as the options of matplotlib's `savefig` say."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise AssetError("the report's charts need matplotlib: pip install 'facerecon-ray[evaluation]'") from None
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure((width, height), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title, loc="left", fontsize=11.5, color="#23252a", pad=10)
        if legend:
            axes.figure.legend(loc="outside lower center", ncols=4)
        file = io.BytesIO()
        figure.savefig(file, **options)
    return file.getvalue()
