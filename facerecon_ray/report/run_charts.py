"""Charts of a run as SVG text without styles of their own: the page's style sheet colours them."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

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

    parts = []
    for tick in y_ticks:
        _, y = place(0, tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x, y = place(tick, 0)
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{tick:g}</text>')
    for earlier in runs[:-1]:
        if earlier:
            x, _ = place(earlier[-1][0], 0)
            parts.append(f'<line class="break" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>')
    for run in runs:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in run))
        parts.append(f'<polyline class="line" points="{path}"/>')
    parts.append(
        f'<text class="label" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 2}" text-anchor="end">{html.escape(x_label)}</text>'
        f'<text class="label" x="{_LEFT + 6}" y="{_TOP + 10}">{html.escape(y_label)}</text>'
    )
    return _svg(_WIDTH, _HEIGHT, f"{y_label} over {x_label}", parts)


def bar_chart(bars: Sequence[Bar], label: str) -> str:
    """Horizontal bars, one below the other; "" without any."""
    longest = max((bar.value for bar in bars), default=0.0)
    if longest <= 0:
        return ""
    parts = []
    for number, bar in enumerate(bars):
        y = number * (_BAR_HEIGHT + _BAR_GAP)
        length = bar.value / longest * (_WIDTH - _BAR_LEFT - _BAR_RIGHT)
        middle = y + _BAR_HEIGHT / 2 + 5
        parts.append(
            f'<text class="name" x="{_BAR_LEFT - 10}" y="{middle:.1f}" text-anchor="end">'
            f"{html.escape(bar.name)}</text>"
        )
        parts.append(f'<rect class="bar" x="{_BAR_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR_HEIGHT}" rx="3"/>')
        parts.append(
            f'<rect class="busy" x="{_BAR_LEFT}" y="{y}" width="{length * min(bar.share, 1.0):.1f}" '
            f'height="{_BAR_HEIGHT}" rx="3"/>'
        )
        parts.append(
            f'<text class="value" x="{_BAR_LEFT + length + 8:.1f}" y="{middle:.1f}">{html.escape(bar.text)}</text>'
        )
    return _svg(_WIDTH, len(bars) * (_BAR_HEIGHT + _BAR_GAP), label, parts)


def nice_ticks(largest: float) -> list[float]:
    """Round numbers from 0 to at least `largest`, about five of them."""
    if largest <= 0:
        return [0.0, 1.0]
    step = largest / 5
    unit = 10.0 ** floor(log10(step))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= step * (1 - 1e-9))
    return [round(step * number, 10) for number in range(ceil(largest / step - 1e-9) + 1)]


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(label)}">{"".join(parts)}</svg>'
