"""Look-ups in an evaluation's figures, and how its numbers are written."""

from collections.abc import Sequence
from typing import Any


class FigureTable:
    """The figures of evaluation.json by data set, model, group and metric.

    Parameters
    ----------
    figures : data, model, group, metric, value, count each
    models : their names in the order of the tables
    metrics : label, better, unit and meaning by name
    """

    def __init__(
        self, figures: Sequence[dict[str, Any]], models: Sequence[str], metrics: dict[str, dict[str, Any]]
    ) -> None:
        self.models, self.metrics = list(models), metrics
        keys = ("data", "model", "group", "metric")
        self._by_key = {tuple(figure[key] for key in keys): figure for figure in figures}
        self.data_sets = list(dict.fromkeys(figure["data"] for figure in figures))

    def value(self, data: str, model: str, metric: str, group: str = "all") -> float | None:
        """One number, None where there is none."""
        figure = self._by_key.get((data, model, group, metric))
        return None if figure is None else float(figure["value"])

    def count(self, data: str, model: str, metric: str, group: str = "all") -> int:
        """Rows behind it."""
        figure = self._by_key.get((data, model, group, metric))
        return 0 if figure is None else int(figure["count"])

    def groups(self, data: str, start: str) -> list[str]:
        """Groups of a data set whose names start so; poses in the order of their angles."""
        found = {group for (of, _, group, _) in self._by_key if of == data and group.startswith(start)}
        return sorted(found, key=_sort_key)

    def by_angle(
        self, data: str, metric: str, start: str
    ) -> tuple[list[tuple[str, list[float], list[float]]], list[float]]:
        """A line for each model, its name, angles and values in percent, and all angles, of groups whose names start
        so."""
        groups = self.groups(data, start)
        lines = []
        for model in self.models:
            known = [
                (group, value) for group in groups if (value := self.value(data, model, metric, group)) is not None
            ]
            lines.append((model, [angle_of(group) for group, _ in known], [value * 100 for _, value in known]))
        return lines, [angle_of(group) for group in groups]

    def has(self, data: str, metric: str) -> bool:
        """Whether any model has the metric on a data set."""
        return any(self.value(data, model, metric) is not None for model in self.models)

    def best(self, data: str, metric: str, group: str = "all") -> float | None:
        """The best model's value."""
        values = [value for model in self.models if (value := self.value(data, model, metric, group)) is not None]
        if not values:
            return None
        return min(values) if self.metrics[metric]["better"] == "lower" else max(values)

    def is_best(self, data: str, model: str, metric: str, group: str = "all") -> bool:
        """Whether the model's value is the best of several models'."""
        value = self.value(data, model, metric, group)
        return value is not None and value == self.best(data, metric, group) and len(self.models) > 1

    def written(self, metric: str, value: float | None) -> str:
        """A value with its unit."""
        if value is None:
            return "–"
        unit = self.metrics[metric]["unit"]
        if unit == "percent":
            return f"{value * 100:.1f} %" if self.metrics[metric]["better"] == "higher" else f"{value * 100:.2f} %"
        return f"{value:.2f}{' mm' if unit == 'mm' else ''}"


def angle_of(group: str) -> float:
    """Angle of a group such as "yaw +20"."""
    return float(group.split()[-1])


def _sort_key(group: str) -> tuple[str, float, str]:
    name, _, last = group.rpartition(" ")
    start = last.partition("-")[0] if name in ("age", "|yaw|") else last
    try:
        return name, float(start), group
    except ValueError:
        return group.split()[0], 1e9, group
