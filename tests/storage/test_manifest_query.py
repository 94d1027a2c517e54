import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from runs import face, row, write_run
from s3_server import S3Server

from facerecon_ray.errors import InputError
from facerecon_ray.storage.manifest_query import (
    Conditions,
    failure_kinds,
    join_runs,
    open_manifests,
    reason_of,
    select_rows,
)
from facerecon_ray.storage.row_filter import flatten

MONDAY = (
    [face("/p/a.jpg", 10, 0.9), face("/p/a.jpg", -70, 0.4, face=1), row("/p/b.jpg", "no_face")],
    [row("/p/c.jpg", "unreadable", error="the file is empty"), face("/p/d.jpg", 65, 0.7)],
)
TUESDAY = ([face("/p/a.jpg", 12, 0.8), row("/p/b.jpg", "no_face"), row("/p/d.jpg", "failed", error="rotate failed")],)


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Outputs of two jobs over the same photos."""
    outputs = [str(tmp_path / "monday"), str(tmp_path / "tuesday")]
    write_run(outputs[0], *MONDAY)
    write_run(outputs[1], *TUESDAY)
    return outputs


def found(runs: list[str], conditions: Conditions) -> list[tuple[str, int | None]]:
    tables = select_rows(open_manifests(runs), runs, conditions, ["photo_uri", "face_index"])
    return [(one["photo_uri"], one["face_index"]) for table in tables for one in table.to_pylist()]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (Conditions(status=("unreadable", "failed")), [("/p/c.jpg", None)]),
        (Conditions(yaw_over=60), [("/p/a.jpg", 1), ("/p/d.jpg", 0)]),
        (Conditions(yaw_over=60, quality_under=0.5), [("/p/a.jpg", 1)]),
        (Conditions(photo="b.jpg"), [("/p/b.jpg", None)]),
        (Conditions(status=("no_face",), yaw_over=0), []),
    ],
)
def test_rows_meet_all_conditions_and_those_without_a_value_meet_none(
    runs: list[str], conditions: Conditions, expected: list
):
    assert found(runs[:1], conditions) == expected


def test_rows_of_several_runs_name_their_run(runs: list[str]):
    tables = list(select_rows(open_manifests(runs), runs, Conditions(photo="d.jpg"), ["status"]))
    rows = [one for table in tables for one in table.to_pylist()]
    assert rows == [{"run": runs[0], "status": "ok"}, {"run": runs[1], "status": "failed"}]


def test_joined_runs_have_every_face_and_every_photo_without_one_once(runs: list[str]):
    joined = join_runs(open_manifests(runs), Conditions()).to_pylist()
    assert [(one["photo_uri"], one["face_index"], one["status_1"], one["status_2"]) for one in joined] == [
        ("/p/a.jpg", 0, "ok", "ok"),
        ("/p/a.jpg", 1, "ok", None),
        ("/p/b.jpg", None, "no_face", "no_face"),
        ("/p/c.jpg", None, "unreadable", None),
        ("/p/d.jpg", 0, "ok", "failed"),
    ]
    assert joined[0]["yaw_1"] == 10 and joined[0]["yaw_2"] == 12


def test_a_joined_row_is_wanted_when_one_of_its_runs_meets_the_conditions(runs: list[str]):
    joined = join_runs(open_manifests(runs), Conditions(status=("failed",))).to_pylist()
    assert [(one["photo_uri"], one["status_1"], one["error_2"]) for one in joined] == [
        ("/p/d.jpg", "ok", "rotate failed")
    ]


def test_flat_rows_have_no_lists_and_keep_the_numbers(runs: list[str]):
    table = flatten(next(select_rows(open_manifests(runs[:1]), runs[:1], Conditions())))
    assert {"yaw", "pitch", "roll", "camera_scale", "timings_crop", "bbox_x0", "quality"} <= set(table.column_names)
    assert not {"landmarks", "shape", "pose", "bbox"} & set(table.column_names)
    assert table.slice(1, 1).select(["yaw", "bbox_y1", "timings_rotate"]).to_pylist() == [
        {"yaw": -70.0, "bbox_y1": 4.0, "timings_rotate": 50.0}
    ]
    joined = flatten(join_runs(open_manifests(runs), Conditions()))
    assert {"yaw_1", "yaw_2", "quality_1", "mesh_uri_2"} <= set(joined.column_names)


def test_failures_are_grouped_by_reason_whatever_photo_they_are_of(tmp_path: Path):
    errors = [f"rotate stage failed: ValueError: bad value {i} in '/x/{i}.jpg'" for i in range(5)]
    rows = [row(f"/p/{i}.jpg", "failed", error=error) for i, error in enumerate(errors)]
    write_run(tmp_path / "out", [*rows, row("/p/z.jpg", "unreadable", error="the file is empty"), face("/p/y", 0, 1)])
    kinds = failure_kinds(open_manifests([str(tmp_path / "out")]))
    assert [(kind.status, kind.reason, kind.rows) for kind in kinds] == [
        ("failed", "rotate stage failed: ValueError: bad value N in …", 5),
        ("unreadable", "the file is empty", 1),
    ]
    assert kinds[0].examples == [("/p/0.jpg", errors[0]), ("/p/1.jpg", errors[1]), ("/p/2.jpg", errors[2])]


def test_reasons_leave_out_what_differs_between_photos():
    assert reason_of("the file has 1,234 bytes, more than 200 allowed") == "the file has N bytes, more than N allowed"
    assert reason_of("cannot read s3://bucket/a b.jpg: timeout") == "cannot read … b.jpg: timeout"


def test_manifests_in_a_bucket_are_read_like_those_in_a_folder(seaweed: S3Server, tmp_path: Path):
    outputs = [f"s3://{seaweed.bucket()}/monday", str(tmp_path / "monday")]
    write_run(outputs[0], *MONDAY, settings=seaweed.settings)
    write_run(outputs[1], *MONDAY)
    in_bucket, in_folder = open_manifests(outputs, seaweed.settings)
    assert in_bucket.totals() == in_folder.totals()
    assert failure_kinds([in_bucket]) == failure_kinds([in_folder])
    with pytest.raises(InputError, match="there is no manifest"):
        open_manifests([outputs[0] + "/other"], seaweed.settings)


def test_an_output_without_a_manifest_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="nothing: there is no manifest"):
        open_manifests([str(tmp_path / "nothing")])
