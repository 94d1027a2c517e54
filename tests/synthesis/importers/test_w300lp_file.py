from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from facerecon_ray.errors import PhotoError
from facerecon_ray.synthesis.importers.w300lp_file import read_annotation


def arrays(**changes: Any) -> dict[str, Any]:
    values = {
        "Pose_Para": np.array([[0.1, -0.2, 0.3, 200.0, 210.0, -60.0, 1e-3]]),
        "Shape_Para": np.arange(199.0)[:, None],
        "Exp_Para": np.arange(29.0)[:, None],
        "pt2d": np.stack([np.arange(68.0), np.arange(68.0) + 100]),
    }
    return {key: value for key, value in {**values, **changes}.items() if value is not None}


def test_a_file_of_the_distribution_is_read(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", arrays())
    annotation = read_annotation(tmp_path / "a.mat", 199, 29)
    assert np.array_equal(annotation.shape, np.arange(199.0))
    assert np.array_equal(annotation.expression, np.arange(29.0))
    assert np.array_equal(annotation.landmarks[5], (4.5, 104.5))
    camera = annotation.camera(450)
    assert np.isclose(camera.scale.item(), 1000.0)
    assert np.allclose(camera.translation, [(199.5, 240.5)])


def test_landmarks_in_three_dimensions_are_preferred(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(1, 450, (3, 68))
    savemat(tmp_path / "a.mat", arrays(pt3d_68=points, pt2d=np.zeros((2, 21))))
    assert np.allclose(read_annotation(tmp_path / "a.mat", 199, 29).landmarks, points[:2].T - 0.5)


@pytest.mark.parametrize(
    ("angles", "expected"),
    [((0.2, 0.0, 0.0), (0.0, 0.2, 0.0)), ((0.0, 0.2, 0.0), (-0.2, 0.0, 0.0)), ((0.0, 0.0, 0.2), (0.0, 0.0, 0.2))],
)
def test_single_angles_have_this_projects_signs(
    tmp_path: Path, angles: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    savemat(tmp_path / "a.mat", arrays(Pose_Para=np.array([[*angles, 0.0, 0.0, 0.0, 1e-3]])))
    camera = read_annotation(tmp_path / "a.mat", 199, 29).camera(450)
    assert np.allclose(np.deg2rad(camera.angles[0].numpy()), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Pose_Para": None}, r"a\.mat: there is no Pose_Para; 7 numbers were expected"),
        ({"Shape_Para": None}, r"a\.mat: there is no Shape_Para; 199 numbers were expected"),
        ({"Exp_Para": np.zeros((10, 1))}, r"a\.mat: Exp_Para has 10 numbers; 29 were expected"),
        ({"pt2d": None}, r"a\.mat: there is no pt3d_68; 68 landmarks .* were expected"),
        ({"pt2d": np.zeros((2, 21))}, r"a\.mat: pt2d has shape \(2, 21\); 68 landmarks .* were expected"),
        ({"Shape_Para": np.full((199, 1), np.nan)}, r"a\.mat: Shape_Para has values that are no finite numbers"),
        ({"Exp_Para": np.array(["text"])}, r"a\.mat: Exp_Para has values that are no finite numbers"),
        ({"Pose_Para": np.zeros((1, 7))}, r"a\.mat: the scale in Pose_Para is 0, a positive one was expected"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_expected(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    savemat(tmp_path / "a.mat", arrays(**changes))
    with pytest.raises(PhotoError, match=message):
        read_annotation(tmp_path / "a.mat", 199, 29)


def test_a_file_that_is_no_matlab_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_text("text" * 100)
    with pytest.raises(PhotoError, match=r"a\.mat: this is no MATLAB file"):
        read_annotation(tmp_path / "a.mat", 199, 29)
    with pytest.raises(PhotoError, match=r"b\.mat: No such file"):
        read_annotation(tmp_path / "b.mat", 199, 29)
