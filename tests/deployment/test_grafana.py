import json
import re
from pathlib import Path

import pytest

from facerecon_ray.pipeline import metrics

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "cluster" / "grafana" / "facerecon.json").read_text())
PANELS = DASHBOARD["panels"]


def documented() -> dict[str, set[str]]:
    """Metrics of the module's description with their labels."""
    lines = re.findall(r"^(facerecon_\w+)\s+(?:\{(.*?)\})?", metrics.__doc__ or "", re.MULTILINE)
    return {name: set(filter(None, labels.split(", "))) for name, labels in lines}


def created() -> set[str]:
    """Metrics that the code makes."""
    return set(re.findall(r'"(facerecon_\w+)"', Path(metrics.__file__).read_text()))


def test_the_description_names_the_metrics_that_there_are():
    assert documented().keys() == created()
    assert all(f"`ray_{name}`" in (ROOT / "docs" / "metrics.md").read_text() for name in created())


def test_the_dashboard_shows_every_metric_and_none_that_is_not_there():
    expressions = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    shown = set(re.findall(r"ray_(facerecon_\w+)", expressions))
    assert shown == created()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_groups_by_labels_that_its_metrics_have(panel: dict):
    for target in panel["targets"]:
        expression = target["expr"]
        assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")
        names = set(re.findall(r"ray_(facerecon_\w+)", expression))
        grouped = {label.strip() for labels in re.findall(r"by \((.*?)\)", expression) for label in labels.split(",")}
        assert all(grouped <= documented()[name] for name in names)
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) == grouped or not names


def test_panels_have_room_of_their_own():
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in PANELS)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
