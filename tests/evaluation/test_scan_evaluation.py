from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch

from facerecon_ray.config.evaluation import ProtocolSettings
from facerecon_ray.evaluation.embedded_subjects import HELD_OUT_SEEDS
from facerecon_ray.evaluation.models import parse_models
from facerecon_ray.evaluation.rows import NOT_RECONSTRUCTED, OK, rows_table
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.evaluation.scan_evaluation import PreparedScan, ScanEvaluator
from facerecon_ray.evaluation.scan_pictures import Framing, pictures_of
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.networks.two_view import TwoViewNetwork
from facerecon_ray.storage.pairs.pair_schema import PAIR_SCHEMA


@pytest.fixture(scope="module")
def prepared(evaluator: ScanEvaluator, dressed_head: Scan) -> PreparedScan:
    return evaluator.prepare("embedded", "subject 3", dressed_head)


def test_no_training_data_can_hold_the_seed_of_a_held_out_subject() -> None:
    assert PAIR_SCHEMA.field("subject_seed").type == pa.int64()
    assert np.iinfo(np.int64).max < HELD_OUT_SEEDS


def test_a_frontal_picture_gives_small_errors_and_every_model_a_row(
    evaluator: ScanEvaluator, prepared: PreparedScan
) -> None:
    rows = evaluator.rows(prepared, [(0.0, 0.0), (20.0, 0.0)])
    assert [(row["model"], row["yaw"]) for row in rows] == [
        ("fitted", 0.0),
        ("fitted", 20.0),
        ("mean-face", 0.0),
        ("mean-face", 20.0),
    ]
    for row in rows:
        assert row["status"] == OK
        assert 0.001 < row["nme"] < 0.03
        assert row["nme_median"] < row["nme_p90"]
        assert 0.2 < row["mm"] < 4.0
        assert row["nme"] < row["nme_corresponding"] < 0.06
        assert row["landmark_nme"] < 0.06
        assert row["landmarks_3d"] < 0.12
        assert row["icp_fit"] > 0.9
    assert rows_table(rows).num_rows == 4


def test_the_estimated_pose_has_the_sign_of_the_picture(evaluator: ScanEvaluator, prepared: PreparedScan) -> None:
    left, right, up = evaluator.rows(prepared, [(-25.0, 0.0), (25.0, 0.0), (0.0, 15.0)])[:3]
    assert (left["estimated_yaw"] < -15, right["estimated_yaw"] > 15, up["estimated_pitch"] > 5) == (True, True, True)
    assert max(row["pose_error"] for row in (left, right, up)) < 10.0


def test_a_network_that_was_never_trained_gives_no_face_and_does_not_win(
    prepared: PreparedScan, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "untrained.safetensors"
    safetensors.torch.save_file(TwoViewNetwork().state_dict(), weights)
    evaluator = ScanEvaluator(parse_models((f"two-view={weights}",)), ProtocolSettings(recognition=False), "cpu")
    row = evaluator.rows(prepared, [(0.0, 0.0)])[0]
    assert row["status"] == NOT_RECONSTRUCTED
    assert "the mesh is no face" in row["error"]
    assert "nme" not in row


def test_a_scan_in_a_strange_unit_has_an_error_but_no_millimetres(
    evaluator: ScanEvaluator, textured_scan: Scan
) -> None:
    strange = replace(textured_scan, vertices=textured_scan.vertices * 30.0)
    row, _ = evaluator.rows(evaluator.prepare("scans", "x", strange), [(0.0, 0.0)])
    assert (row["status"], row["unit"], "mm" in row) == (OK, None, False)
    assert row["nme"] < 0.03


def test_clay_is_recognised_as_a_face(evaluator: ScanEvaluator, textured_scan: Scan) -> None:
    clay = replace(textured_scan, colours=MeshColours(), notes=("no colours",))
    row, _ = evaluator.rows(evaluator.prepare("scans", "clay", clay), [(0.0, 0.0)])
    assert (row["status"], row["note"]) == (OK, "no colours")


def test_a_picture_without_a_face_is_a_row_with_a_reason(evaluator: ScanEvaluator, prepared: PreparedScan) -> None:
    rows = evaluator.rows(prepared, [(180.0, 0.0), (0.0, 0.0)])
    assert [row["status"] for row in rows[:2]] == [NOT_RECONSTRUCTED, OK]
    assert rows[0]["error"] == "no face was found"


def test_a_look_shows_the_mesh_where_the_scan_is(evaluator: ScanEvaluator, prepared: PreparedScan) -> None:
    made = evaluator.look(prepared, (0.0, 0.0), "fitted")
    assert made.mesh is not None
    assert made.error is not None
    assert made.error.mean() == pytest.approx(evaluator.rows(prepared, [(0.0, 0.0)])[0]["nme"], rel=1e-4)
    truth = prepared.pose.to_head.apply(prepared.scan.vertices)
    assert np.abs(made.mesh.vertices.mean(0)[:2] - truth[prepared.scan.vertices[:, 2] > 0.02].mean(0)[:2]).max() < 0.02


def test_points_are_where_pictures_show_them(textured_scan: Scan) -> None:
    """A scan that is black but for one bright spot: the spot's pixels surround its projection."""
    vertex = int(np.argmax(textured_scan.vertices @ (0.26, 0.33, 0.9)))
    near = np.linalg.norm(textured_scan.vertices - textured_scan.vertices[vertex], axis=1) < 6.0
    painted = MeshColours(vertex=np.where(near[:, None], np.uint8(255), np.uint8(0)).repeat(3, 1))
    scan = replace(textured_scan, colours=painted)
    to_head = Similarity(0.001, np.eye(3), -0.001 * scan.vertices.mean(0))
    framing = Framing(to_head, (20.0, 10.0, 5.0), 256)
    pictures = pictures_of(scan)
    rows, columns = np.nonzero(pictures.draw(framing)[..., 0] > 200)
    x, y, _ = pictures.project(scan.vertices[vertex][None], framing)[0]
    assert len(rows) > 5
    assert np.hypot(columns.mean() + 0.5 - x, rows.mean() + 0.5 - y) < 4.0
