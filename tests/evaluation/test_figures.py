import numpy as np
import pytest

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.evaluation.figures import figures_of, groups_of, predictions
from facerecon_ray.evaluation.rows import EMBEDDED, LANDMARKS, NOT_RECONSTRUCTED, OK, UNUSABLE

PROTOCOL = ProtocolSettings(penalty=0.1, landmark_penalty=0.5)


def row(nme: float | None, yaw: float = 0.0, **others: object) -> dict[str, object]:
    status = OK if nme is not None else NOT_RECONSTRUCTED
    error = {} if nme is None else {"nme": nme}
    base = {"data": EMBEDDED, "item": "a", "model": "fitted", "yaw": yaw, "pitch": 0.0, "status": status}
    return base | error | others


def landmark_row(error: float | None, yaw: float) -> dict[str, object]:
    base = {"data": LANDMARKS, "item": f"{yaw}", "model": "fitted", "yaw": yaw, "pitch": 0.0}
    return base | ({"status": NOT_RECONSTRUCTED} if error is None else {"status": OK, "landmark_nme": error})


def value(rows: list[dict[str, object]], metric: str, group: str = "all") -> float:
    found = [f.value for f in figures_of(rows, PROTOCOL) if (f.metric, f.group) == (metric, group)]
    assert len(found) == 1
    return found[0]


def test_a_failure_makes_the_mean_with_failures_worse_and_leaves_the_other_alone() -> None:
    rows = [row(0.01), row(0.03), row(None)]
    assert value(rows, "nme") == pytest.approx(0.02)
    assert value(rows, "nme_with_failures") == pytest.approx((0.01 + 0.03 + 0.1) / 3)
    assert value(rows, "share_reconstructed") == pytest.approx(2 / 3)


def test_a_model_that_always_fails_has_the_penalty_and_no_error() -> None:
    figures = {f.metric: f.value for f in figures_of([row(None), row(None)], PROTOCOL) if f.group == "all"}
    assert figures == {"share_reconstructed": 0.0, "nme_with_failures": 0.1}


def test_what_could_not_be_used_is_no_failure_of_a_model() -> None:
    unusable = {"data": EMBEDDED, "item": "b", "status": UNUSABLE, "error": "no face"}
    assert value([row(0.01), unusable], "share_reconstructed") == 1.0


def test_figures_are_split_by_the_scans_yaw_with_its_sign() -> None:
    rows = [row(0.01, -20.0), row(0.02, 20.0), row(0.04, 20.0)]
    assert value(rows, "nme", "yaw -20") == pytest.approx(0.01)
    assert value(rows, "nme", "yaw +20") == pytest.approx(0.03)


def test_landmarks_are_the_mean_of_the_yaw_bins_and_a_border_belongs_to_the_lower_one() -> None:
    rows = [landmark_row(0.02, yaw) for yaw in (0.0, -10.0, 30.0)] + [landmark_row(0.08, -30.1)]
    assert value(rows, "landmark_nme") == pytest.approx(0.05)
    assert value(rows, "landmark_nme", "|yaw| 0-30") == pytest.approx(0.02)
    assert value(rows, "landmark_nme", "|yaw| 30-60") == pytest.approx(0.08)
    assert value([*rows, landmark_row(None, 50.0)], "landmark_nme_with_failures") == pytest.approx((0.02 + 0.29) / 2)


def test_subjects_are_grouped_by_who_they_are() -> None:
    groups = groups_of(row(0.01, gender=0.7, age=35.0, african=0.6, asian=0.3, caucasian=0.1))
    assert {"gender female", "age 35-60", "ancestry african"} <= set(groups)
    mixed = groups_of(row(0.01, gender=0.2, age=71.0, african=0.4, asian=0.3, caucasian=0.3))
    assert {"gender male", "age 60 and over", "ancestry mixed"} <= set(mixed)
    assert not any(group.startswith(("gender", "age", "ancestry")) for group in groups_of(row(0.01)))


def test_pictures_are_grouped_by_expression_beard_and_the_cameras_distance() -> None:
    near = groups_of(row(0.01, expression="smile", beard="none", distance=0.6))
    assert {"expression any", "beard none", "distance below 1 m"} <= set(near)
    far = groups_of(row(0.01, expression="neutral", beard="stubble", distance=1.0))
    assert {"expression neutral", "beard any", "distance from 1 m"} <= set(far)


def test_a_measure_that_orders_the_faces_as_their_errors_do_has_the_correlation_one() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(
            float(error),
            fit_error=float(error**2),
            visible_share=float(1 - error),
            estimated_yaw=float(rng.normal()),
            detection_score=1.0,
        )
        for error in rng.uniform(0.01, 0.05, 400)
    ]
    found = {prediction["measure"]: prediction["correlation"] for prediction in predictions(rows, "nme")}
    assert found["fit_error"] == pytest.approx(1.0)
    assert found["visible_share"] == pytest.approx(-1.0)
    assert abs(found["estimated_yaw"]) < 0.15
    assert "detection_score" not in found
