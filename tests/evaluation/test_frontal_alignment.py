from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.frontal_alignment import MOST_ROUNDS, FrontalAligner, _Estimate, axis_rotations
from facerecon_ray.evaluation.picture_crops import PictureCrops
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_picture import MeshColours
from facerecon_ray.geometry.similarity import Similarity

TURN = Rotation.from_euler("yx", (15, -20), degrees=True).as_matrix()
"""How `textured_scan` lies."""


@pytest.fixture(scope="module")
def align() -> FrontalAligner:
    return FrontalAligner(PictureCrops("cpu", untrained=True), FaceModel.default())


def degrees_off(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(Rotation.from_matrix(first.T @ second).magnitude()))


def test_a_turned_scan_in_millimetres_comes_to_the_front_in_metres(align: FrontalAligner, textured_scan: Scan) -> None:
    pose = align(textured_scan)
    assert degrees_off(pose.to_head.rotation, TURN.T) < 8.0
    assert (pose.unit, pose.rounds <= MOST_ROUNDS) == ("millimetres", True)
    assert pose.to_head.scale == pytest.approx(0.001)
    front = textured_scan.vertices[(textured_scan.vertices @ TURN)[:, 2].argmax()]
    assert np.linalg.norm(pose.nose_tip - pose.to_head.apply(front)) < 0.012


@pytest.mark.slow
def test_a_scan_that_lies_on_its_side_and_looks_away_is_found(align: FrontalAligner, textured_scan: Scan) -> None:
    turn = Rotation.from_euler("zy", (90, 150), degrees=True).as_matrix()
    found = align(replace(textured_scan, vertices=textured_scan.vertices @ turn.T)).to_head.rotation
    assert degrees_off(found, (turn @ TURN).T) < 10.0


@pytest.mark.parametrize(("factor", "unit"), [(0.1, "centimetres"), (0.001, "metres"), (30.0, "")])
def test_the_unit_is_told_from_the_face(align: FrontalAligner, textured_scan: Scan, factor: float, unit: str) -> None:
    pose = align(replace(textured_scan, vertices=textured_scan.vertices * factor))
    assert pose.unit == unit
    assert 0.03 < np.ptp(pose.landmarks[:, 0]) < 0.2


def test_a_dressed_head_is_nearly_frontal_already(align: FrontalAligner, dressed_head: Scan) -> None:
    pose = align(dressed_head)
    assert degrees_off(pose.to_head.rotation, np.eye(3)) < 5.0
    assert pose.unit == "metres"


def test_landmarks_are_not_taken_from_behind_the_lips(align: FrontalAligner, dressed_head: Scan) -> None:
    lips = align(dressed_head).landmarks[60 - 17 :]
    assert np.ptp(lips[:, 2]) < 0.03


def test_a_scan_without_a_face_is_refused_in_the_end(align: FrontalAligner) -> None:
    ball = trimesh.creation.icosphere(4, 1.0)
    scan = Scan(np.array(ball.vertices), np.array(ball.faces, np.int64), MeshColours())
    with pytest.raises(InputError, match="no face was found on the scan from any side"):
        align(scan)


def test_there_are_24_orientations_and_the_first_changes_nothing() -> None:
    rotations = axis_rotations()
    assert len({tuple(matrix.ravel()) for matrix in rotations}) == 24
    np.testing.assert_array_equal(rotations[0], np.eye(3))
    assert all(np.linalg.det(matrix) == pytest.approx(1.0) for matrix in rotations)


def test_a_round_that_lost_the_face_does_not_win_by_its_small_angle() -> None:
    nowhere = Similarity(1.0, np.eye(3), np.zeros(3))
    face, lost = (
        _Estimate(nowhere, nowhere, largest_angle=angle, misfit=misfit, landmarks=np.zeros((51, 3)))
        for angle, misfit in ((2.4, 0.004), (0.9, 0.0099))
    )
    assert min((lost, face), key=lambda estimate: estimate.rank) is face
