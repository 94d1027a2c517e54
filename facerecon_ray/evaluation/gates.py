"""Gates: limits that a run must keep, from a YAML file.

gates:
  - {metric: nme, max: 0.02}                              # for all models and data sets
  - {metric: share_reconstructed, model: fitted, min: 0.95}
  - {metric: nme, group: yaw +60, max: 0.03}
  - {metric: nme, no_worse_than: {nights: 7, percent: 5}} # than the median of the last 7 nights
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

from pydantic import Field, ValidationError, field_validator, model_validator

from facerecon_ray.config.settings import Settings, read_job_file
from facerecon_ray.errors import SettingsError
from facerecon_ray.evaluation.figures import ALL, METRICS, Figure


class NoWorseThan(Settings):
    nights: int = Field(ge=1)
    """The last so many runs on the same data with the same protocol; as long as there are fewer, those."""
    percent: float = Field(ge=0.0)
    """By how much the figure may be worse than their median."""


class Gate(Settings):
    metric: str
    """Key of METRICS."""
    data: str | None = None
    """embedded, scans or landmarks; without one all of the run."""
    model: str | None = None
    """Name of a model; without one all of the run."""
    group: str = ALL
    """all, or a group such as "yaw +60", "|yaw| 60-90", "pitch -15", "gender female"."""
    min: float | None = None
    max: float | None = None
    no_worse_than: NoWorseThan | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric not in METRICS:
            raise ValueError(f"there is no metric {metric!r}; choose from {', '.join(METRICS)}")
        return metric

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.min is None and self.max is None and self.no_worse_than is None:
            raise ValueError("a gate needs min, max or no_worse_than")
        return self


class Gates(Settings):
    gates: tuple[Gate, ...] = Field(min_length=1)


@dataclass(frozen=True)
class GateResult:
    """One gate on one figure.

    figure  what was measured, None where the run has no such figure, which fails the gate
    limit   in words
    passed  whether it is kept
    note    what else there is to say
    """

    gate: Gate
    figure: Figure | None
    limit: str
    passed: bool
    note: str = ""


def load_gates(path: Path) -> tuple[Gate, ...]:
    """Read a gate file.

    Raises
    ------
    SettingsError
        when it is missing, not YAML, or says something that is not understood
    """
    try:
        return Gates.model_validate(read_job_file(path)).gates
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"gates {path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None


def check_gates(
    gates: Sequence[Gate], figures: Sequence[Figure], nights: Sequence[Sequence[Figure]]
) -> list[GateResult]:
    """Hold a run's figures against gates.

    Parameters
    ----------
    gates : the limits
    figures : of this run
    nights : figures of earlier comparable runs, the latest last
    """
    results = []
    for gate in gates:
        matching = [
            figure
            for figure in figures
            if figure.metric == gate.metric
            and figure.group == gate.group
            and gate.data in (None, figure.data)
            and gate.model in (None, figure.model)
        ]
        if not matching:
            results.append(GateResult(gate, None, _limits(gate), False, "the run has no such figure"))
        for figure in matching:
            results += _results(gate, figure, nights)
    return results


def _results(gate: Gate, figure: Figure, nights: Sequence[Sequence[Figure]]) -> list[GateResult]:
    results = []
    if gate.min is not None:
        results.append(GateResult(gate, figure, f"at least {gate.min:g}", figure.value >= gate.min))
    if gate.max is not None:
        results.append(GateResult(gate, figure, f"at most {gate.max:g}", figure.value <= gate.max))
    if gate.no_worse_than is not None:
        results.append(_compared(gate, gate.no_worse_than, figure, nights))
    return results


def _compared(gate: Gate, rule: NoWorseThan, figure: Figure, nights: Sequence[Sequence[Figure]]) -> GateResult:
    key = (figure.data, figure.model, figure.group, figure.metric)
    earlier = [
        other.value
        for night in nights
        for other in night
        if (other.data, other.model, other.group, other.metric) == key
    ][-rule.nights :]
    if not earlier:
        return GateResult(gate, figure, f"no worse than before by {rule.percent:g} %", True, "there is no earlier run")
    usual = median(earlier)
    share = rule.percent / 100
    if METRICS[gate.metric].better == "lower":
        limit = usual * (1 + share)
        passed, words = figure.value <= limit, "at most"
    else:
        limit = usual * (1 - share)
        passed, words = figure.value >= limit, "at least"
    text = f"{words} {limit:.4g} ({rule.percent:g} % from {usual:.4g}, the median of the last {len(earlier)})"
    return GateResult(gate, figure, text, passed)


def _limits(gate: Gate) -> str:
    parts = [] if gate.min is None else [f"at least {gate.min:g}"]
    parts += [] if gate.max is None else [f"at most {gate.max:g}"]
    if gate.no_worse_than is not None:
        parts.append(f"no worse than the last {gate.no_worse_than.nights} by {gate.no_worse_than.percent:g} %")
    return ", ".join(parts)
