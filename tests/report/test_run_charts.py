import re
import xml.etree.ElementTree as ET

import pytest

from facerecon_ray.report.run_charts import Bar, bar_chart, line_chart, nice_ticks


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [(5, [0, 1, 2, 3, 4, 5]), (6.1, [0, 2, 4, 6, 8]), (0.03, [0, 0.01, 0.02, 0.03]), (100, [0, 20, 40, 60, 80, 100])],
)
def test_ticks_are_round_and_reach_the_largest_value(largest: float, ticks: list[float]):
    assert nice_ticks(largest) == pytest.approx(ticks)


def test_axes_without_any_extent_still_have_ticks():
    assert nice_ticks(0) == [0, 1]


def test_a_line_for_each_run_lies_where_its_values_are():
    chart = line_chart([[(0, 0), (1, 4)], [(1, 2), (2, 8)]], "minutes", "faces a second")
    lines = [
        [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
        for line in _all(chart, "polyline")
    ]
    (start, middle), (_, end) = lines
    assert start[0] < middle[0] < end[0], "later is further right"
    assert start[1] > middle[1] > end[1], "more is higher up"
    assert (start[1] - end[1]) == pytest.approx(2 * (start[1] - middle[1]))
    assert len([line for line in _all(chart, "line") if line.get("class") == "break"]) == 1


def test_bars_are_as_long_as_their_values_and_filled_by_their_share():
    chart = bar_chart([Bar("a", 10, 0.5, "ten"), Bar("b<", 5, 1.7, "five")], "times")
    widths = {
        kind: [float(r.get("width", 0)) for r in _all(chart, "rect") if r.get("class") == kind]
        for kind in ("bar", "busy")
    }
    assert widths["bar"][0] == pytest.approx(2 * widths["bar"][1], rel=0.01)
    assert widths["busy"] == pytest.approx([widths["bar"][0] / 2, widths["bar"][1]], rel=0.01), "never over its end"
    assert "b&lt;" in chart


def test_nothing_is_drawn_of_nothing():
    assert line_chart([], "x", "y") == line_chart([[]], "x", "y") == bar_chart([Bar("a", 0, 0, "")], "x") == ""


def test_charts_have_no_style_of_their_own():
    chart = line_chart([[(0, 1), (1, 2)]], "x", "y") + bar_chart([Bar("a", 1, 1, "")], "x")
    assert not re.search(r"style=|fill=|stroke=", chart), "the page's policy would drop it"


def _all(chart: str, tag: str) -> list[ET.Element]:
    return list(ET.fromstring(chart).iter(tag))
