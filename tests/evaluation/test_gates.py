from pathlib import Path

import pytest

from facerecon_ray.errors import SettingsError
from facerecon_ray.evaluation.figures import Figure
from facerecon_ray.evaluation.gates import Gate, check_gates, load_gates


def nme(value: float, model: str = "fitted", group: str = "all") -> Figure:
    return Figure("embedded", model, group, "nme", value, 108)


def share(value: float) -> Figure:
    return Figure("embedded", "fitted", "all", "share_reconstructed", value, 108)


def passed(gate: dict[str, object], figures: list[Figure], nights: list[list[Figure]] | None = None) -> list[bool]:
    return [result.passed for result in check_gates([Gate.model_validate(gate)], figures, nights or [])]


def test_limits_include_their_own_value() -> None:
    assert passed({"metric": "nme", "max": 0.02}, [nme(0.02)]) == [True]
    assert passed({"metric": "nme", "max": 0.02}, [nme(0.0201)]) == [False]
    assert passed({"metric": "share_reconstructed", "min": 0.95}, [share(0.95)]) == [True]
    assert passed({"metric": "share_reconstructed", "min": 0.95}, [share(0.94)]) == [False]


def test_a_gate_without_a_model_holds_for_every_model() -> None:
    assert passed({"metric": "nme", "max": 0.02}, [nme(0.01), nme(0.03, "two-view")]) == [True, False]
    assert passed({"metric": "nme", "max": 0.02, "model": "fitted"}, [nme(0.01), nme(0.03, "two-view")]) == [True]


def test_a_gate_can_be_for_one_pose() -> None:
    figures = [nme(0.01), nme(0.04, group="yaw +60")]
    assert passed({"metric": "nme", "max": 0.02, "group": "yaw +60"}, figures) == [False]


def test_a_gate_on_what_was_not_measured_fails() -> None:
    result = check_gates([Gate(metric="nme", model="two-view", max=0.1)], [nme(0.01)], [])[0]
    assert (result.passed, result.note) == (False, "the run has no such figure")


def test_worse_than_the_median_of_the_last_nights_fails_and_better_never_does() -> None:
    gate = {"metric": "nme", "no_worse_than": {"nights": 3, "percent": 5}}
    nights = [[nme(0.5)], [nme(0.020)], [nme(0.010)], [nme(0.030)]]
    assert passed(gate, [nme(0.0209)], nights) == [True]
    assert passed(gate, [nme(0.0211)], nights) == [False]
    assert passed(gate, [nme(0.001)], nights) == [True]


def test_for_shares_lower_is_worse() -> None:
    gate = {"metric": "share_reconstructed", "no_worse_than": {"nights": 7, "percent": 5}}
    assert passed(gate, [share(0.96)], [[share(1.0)]]) == [True]
    assert passed(gate, [share(0.94)], [[share(1.0)]]) == [False]


def test_the_first_night_has_nothing_to_be_worse_than() -> None:
    result = check_gates(
        [Gate.model_validate({"metric": "nme", "no_worse_than": {"nights": 7, "percent": 5}})], [nme(9.0)], []
    )
    assert (result[0].passed, result[0].note) == (True, "there is no earlier run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gates: [{metric: nmee, max: 1}]", "no metric 'nmee'; choose from nme"),
        ("gates: [{metric: nme}]", "needs min, max or no_worse_than"),
        ("gates: [{metric: nme, maximum: 1}]", "maximum"),
        ("gates: []", "at least 1"),
        ("[]: {", "not valid YAML"),
    ],
)
def test_a_gate_file_with_a_mistake_says_where(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_gates(path)
