import numpy as np
import pytest

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.evaluation.embedded_subjects import embedded_scan
from facerecon_ray.evaluation.many_photos import many_photos_figures, person_rows, spread_views
from facerecon_ray.evaluation.models import parse_models
from facerecon_ray.evaluation.scan_evaluation import ScanEvaluator
from facerecon_ray.report.many_photos import columns_of, lines_of, many_photos

GRID = [(yaw, pitch) for pitch in (-15.0, 0.0, 15.0) for yaw in (-80.0, -40.0, 0.0, 40.0, 80.0)]


def test_views_begin_at_the_front_and_spread_as_far_as_they_may() -> None:
    found = {
        (len(some.chosen), some.within): [GRID[n] for n in some.chosen] for some in spread_views(GRID, (1, 3, 15))
    }
    assert set(found) == {(1, 0.0), (3, 0.0), (3, 40.0), (3, 80.0), (15, 80.0)}
    assert found[1, 0.0] == [(0.0, 0.0)] and found[3, 0.0] == [(0.0, 0.0), (0.0, -15.0), (0.0, 15.0)]
    assert {abs(yaw) for yaw, _ in found[3, 40.0][1:]} == {40.0} and found[3, 40.0][1][0] == -found[3, 40.0][2][0]
    assert sorted(found[15, 80.0]) == sorted(GRID)


def test_one_picture_scores_as_the_fitted_face_and_several_come_nearer() -> None:
    protocol = ProtocolSettings(yaws=(-40.0, 0.0, 40.0), pitches=(0.0,), recognition=False)
    evaluator = ScanEvaluator(parse_models(("fitted",)), protocol, "cpu", people=True)
    prepared = evaluator.prepare("embedded", "subject 0", embedded_scan(0))
    angles = [(yaw, 0.0) for yaw in protocol.yaws]
    (single,) = evaluator.rows(prepared, [(0.0, 0.0)])
    one, three = person_rows(evaluator, prepared, angles, (1, 3, 9))
    assert (one["photos"], one["merged"], one["within"], one["status"]) == (1, 1, 0.0, "ok")
    assert (three["photos"], three["merged"], three["within"]) == (3, 3, 40.0)
    assert one["nme_corresponding"] == pytest.approx(single["nme_corresponding"], rel=0.02)
    assert three["nme_corresponding"] < one["nme_corresponding"]


def test_the_report_has_a_line_for_each_number_and_spread_and_a_chart() -> None:
    rows = [
        {"data": "embedded", "item": f"subject {n}", "photos": photos, "within": within, "status": "ok", "nme": error}
        for n in range(2)
        for photos, within, error in ((1, 0.0, 0.02), (3, 40.0, 0.01 + 0.002 * n), (3, 80.0, 0.012))
    ]
    rows.append({"data": "embedded", "item": "x", "photos": 3, "within": 80.0, "status": "not_reconstructed"})
    figures = many_photos_figures(rows)
    assert columns_of(figures, "embedded") == ["pictures", "within", "heads", "NME"]
    assert lines_of(figures, "embedded") == [
        ["1", "±0°", "2", "2.00 %"],
        ["3", "±40°", "2", "1.10 %"],
        ["3", "±80°", "2", "1.20 %"],
    ]
    ((data, _, _, (chart,)),) = many_photos(figures)
    assert data == "embedded" and "<svg" in chart and "within ±40°" in chart and many_photos([]) == []
    assert np.isclose(next(f["value"] for f in figures if f["within"] == 40.0), 0.011)
