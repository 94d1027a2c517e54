from pathlib import Path

import pytest

from facerecon_ray.config.evaluation import EvaluationData, ProtocolSettings
from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.items import list_items


def test_children_are_evaluated_beside_other_subjects_and_are_other_people() -> None:
    found = list_items(EvaluationData(subjects=1, children=1), ProtocolSettings())
    assert [item.name for item in found.scans] == ["subject 0", "child 0"]
    pytest.importorskip("anny", reason="embedded subjects need the package anny (the extra 'synthesis')")
    adult, child = (item.load() for item in found.scans)
    assert child.attributes["age"] < 18 <= adult.attributes["age"]
    assert child.attributes["gender"] != adult.attributes["gender"]
    assert {"expression", "beard"} <= adult.attributes.keys()


def test_what_is_known_of_subjects_goes_to_their_scans_and_names_that_fit_none_are_an_error(tmp_path: Path) -> None:
    for name in ("anna.ply", "bert.ply"):
        (tmp_path / name).write_bytes(b"ply")
    (tmp_path / "subjects.csv").write_text("subject,age\nbert,30\nclara,31\n")
    found = list_items(EvaluationData(scans=tmp_path), ProtocolSettings())
    assert [(scan.name, scan.attributes) for scan in found.scans] == [("anna", ()), ("bert", (("age", 30.0),))]
    (tmp_path / "subjects.csv").write_text("subject,age\nbert.ply,30\n")
    with pytest.raises(InputError, match=r"none of its subjects is a scan.*'bert\.ply'.*'anna'"):
        list_items(EvaluationData(scans=tmp_path), ProtocolSettings())
