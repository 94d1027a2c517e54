import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "synthesis"))
from scans_stand_in import save_scans

from facerecon_ray.config.evaluation import EvaluationData, ProtocolSettings
from facerecon_ray.errors import InputError, OutputError, SettingsError
from facerecon_ray.evaluation.foreign_heads import CARD, DISTANCES, HEAD, HeadSet, list_heads, make_heads, read_head
from facerecon_ray.evaluation.items import list_items, scan_checksum
from facerecon_ray.evaluation.picture_crops import PictureCrops, was_found
from facerecon_ray.evaluation.rows import FOREIGN, OK, rows_table
from facerecon_ray.evaluation.scan_evaluation import ScanEvaluator
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS
from facerecon_ray.geometry.mesh_errors import box_size

PROTOCOL = ProtocolSettings(yaws=(0.0, 30.0), pitches=(0.0,))


@pytest.fixture(scope="module")
def scans_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scans") / "scans.npz"
    save_scans(file)
    return file


@pytest.fixture(scope="module")
def folder(scans_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("anny", reason="looks need the package anny (the extra 'synthesis')")
    made = tmp_path_factory.mktemp("foreign") / "heads"
    assert make_heads(made, scans_model, 1, protocol=PROTOCOL) == 4
    return made


@pytest.fixture
def heads(folder: Path) -> HeadSet:
    return list_heads(folder)


def test_a_person_is_two_heads_under_the_same_light_at_the_same_distance(heads: HeadSet) -> None:
    neutral, expressive = (read_head(head) for head in heads.heads)
    assert neutral.attributes["expression"] == "neutral" != expressive.attributes["expression"]
    assert neutral.photos is not None and expressive.photos is not None
    for side in ((0.0, 0.0), (30.0, 0.0)):
        stands = [photos.standpoints[side] for photos in (neutral.photos, expressive.photos)]
        assert stands[0].distance == stands[1].distance
        assert DISTANCES[0] <= stands[0].distance <= DISTANCES[1]
    assert scan_checksum(neutral) != scan_checksum(expressive)


def test_landmarks_are_where_the_pictures_show_them(heads: HeadSet) -> None:
    torch.set_num_threads(1)
    finder = PictureCrops("cpu")
    for head in heads.heads:
        photos = read_head(head).photos
        assert photos is not None
        found = finder.find([photos.picture(side) for side in sorted(photos.files)])
        assert was_found(found).all()
        for side, landmarks in zip(sorted(photos.files), found["landmarks"], strict=True):
            truth = photos.standpoints[side].project(photos.landmarks.astype(np.float32))[:, :2]
            away = np.linalg.norm(landmarks[CONTOUR_LANDMARKS:] - truth, axis=1)
            assert away.mean() / box_size(truth) < 0.06


def test_a_head_is_scored_as_it_lies_on_the_pictures_that_there_are(evaluator: ScanEvaluator, heads: HeadSet) -> None:
    head = heads.heads[0]
    prepared = evaluator.prepare(FOREIGN, head.path.name, read_head(head))
    rows = evaluator.rows(prepared, [(0.0, 0.0), (30.0, 0.0)])
    assert [row["model"] for row in rows] == ["fitted", "fitted", "mean-face", "mean-face"]
    for row in rows:
        assert (row["status"], row["unit"], row["frontal_residual"]) == (OK, "metres", 0.0)
        assert 0.002 < row["nme"] < 0.03
        assert row["landmarks_3d"] < 0.12
        assert abs(row["estimated_yaw"] - row["yaw"]) < 10.0
        assert (row["expression"], row["beard"]) == ("neutral", head.looks["beard"])
        assert DISTANCES[0] <= row["distance"] <= DISTANCES[1]
    assert rows_table(rows).num_rows == 4
    made = evaluator.look(prepared, (30.0, 0.0), "fitted")
    assert made.error is not None
    assert made.error.mean() == pytest.approx(rows[1]["nme"], rel=1e-2)


def test_heads_are_made_once(folder: Path, scans_model: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(InputError, match="there are foreign heads already"):
        make_heads(folder, scans_model, 2)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_made(scans_model: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*heads: (Not a directory|File exists)"):
        make_heads(scans_model / "heads", scans_model, 1)


def test_a_folder_without_heads_or_without_the_protocols_sides_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no heads\.json; make them with facerecon model people"):
        list_items(EvaluationData(foreign=tmp_path), PROTOCOL)
    with pytest.raises(SettingsError, match="no picture at yaw -80 and pitch -15, which the protocol wants"):
        list_items(EvaluationData(foreign=folder), ProtocolSettings())
    found = list_items(EvaluationData(foreign=folder, limit=1), PROTOCOL)
    assert [(item.data, item.name) for item in found.scans] == [(FOREIGN, "person_00_neutral")]
    (tmp_path / CARD).write_text('{"schema": 0}')
    with pytest.raises(InputError, match="made by another version"):
        list_heads(tmp_path)


def test_a_damaged_head_is_named(folder: Path, heads: HeadSet, tmp_path: Path) -> None:
    for name, contents in ((HEAD, b"PK"), ("yaw+30_pitch+0.png", None)):
        copy = tmp_path / name / "person_00_neutral"
        copy.mkdir(parents=True)
        for path in heads.heads[0].path.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        (copy / name).unlink()
        if contents is not None:
            (copy / name).write_bytes(contents)
        with pytest.raises(InputError, match="person_00_neutral cannot be read"):
            read_head(type(heads.heads[0])(copy, {}))
