"""Charts of a run as SVG text without styles of their own: the page's style sheet colours them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from facerecon_ray.report.pages import render

_WIDTH, _HEIGHT = 760, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 12, 34
_BAR_HEIGHT, _BAR_GAP, _BAR_LEFT, _BAR_RIGHT = 20, 12, 110, 220


@dataclass(frozen=True)
class Bar:
    """A bar of `value`, of which a share up to 1 is filled darker, with a text behind it."""

    name: str
    value: float
    share: float
    text: str


def line_chart(runs: Sequence[Sequence[tuple[float, float]]], x_label: str, y_label: str) -> str:
    """A line for each run, one behind the other, on axes that start at 0; "" without any point.

    Parameters
    ----------
    runs : points (x, y) of each run, x growing and counted on from run to run
    """
    points = [point for run in runs for point in run]
    if not points:
        return ""
    x_ticks, y_ticks = nice_ticks(max(x for x, _ in points)), nice_ticks(max(y for _, y in points))
    x_end, y_end = max(x_ticks[-1], max(x for x, _ in points)), y_ticks[-1]
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + x / x_end * inner_width, _TOP + (1 - y / y_end) * inner_height

    return render(
        "line_chart.svg",
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        x_label=x_label,
        y_label=y_label,
        x_ticks=[(place(tick, 0)[0], tick) for tick in x_ticks],
        y_ticks=[(place(0, tick)[1], tick) for tick in y_ticks],
        breaks=[place(*run[-1])[0] for run in runs[:-1] if run],
        lines=[[place(*point) for point in run] for run in runs],
    )


def bar_chart(bars: Sequence[Bar], label: str) -> str:
    """Horizontal bars, one below the other; "" without any."""
    longest = max((bar.value for bar in bars), default=0.0)
    if longest <= 0:
        return ""
    step = _BAR_HEIGHT + _BAR_GAP
    scale = (_WIDTH - _BAR_LEFT - _BAR_RIGHT) / longest
    return render(
        "bar_chart.svg",
        width=_WIDTH,
        height=len(bars) * step,
        left=_BAR_LEFT,
        thickness=_BAR_HEIGHT,
        label=label,
        bars=[(bar, number * step, bar.value * scale) for number, bar in enumerate(bars)],
    )


def nice_ticks(largest: float) -> list[float]:
    """Round numbers from 0 to at least `largest`, about five of them."""
    if largest <= 0:
        return [0.0, 1.0]
    step = largest / 5
    unit = 10.0 ** floor(log10(step))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= step * (1 - 1e-9))
    return [round(step * number, 10) for number in range(ceil(largest / step - 1e-9) + 1)]
