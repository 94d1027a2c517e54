from pathlib import Path

import numpy as np
import pytest
from scipy import io

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.landmark_files import list_photos, read_annotation

POINTS = np.random.default_rng(0).uniform(50, 300, (3, 68))


def write(path: Path, **content: object) -> Path:
    io.savemat(path, {"pt3d_68": POINTS, "Pose_Para": np.array([[0.1, -0.5, 0.2, 1, 2, 3, 4]]), **content})
    return path


def test_landmarks_are_moved_to_pixel_centres_and_angles_are_degrees(tmp_path: Path) -> None:
    found = read_annotation(write(tmp_path / "image00002.mat"))
    np.testing.assert_allclose(found.landmarks, POINTS[:2].T - 0.5)
    assert found.yaw == pytest.approx(np.degrees(-0.5))
    assert found.pitch == pytest.approx(np.degrees(0.1))


def test_photos_come_by_name_with_their_annotations(tmp_path: Path) -> None:
    for name in ("image00004.jpg", "image00002.jpg", "readme.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [photo.name for photo in list_photos(tmp_path)] == ["image00002.jpg", "image00004.jpg"]
    assert list_photos(tmp_path)[0].truth == tmp_path / "image00002.mat"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pt3d_68": POINTS[:, :20]}, "no pt3d_68"),
        ({"pt3d_68": POINTS * np.nan}, "not numbers"),
        ({"pt3d_68": POINTS * 0}, "all in one place"),
        ({"Pose_Para": np.zeros((1, 2))}, "no Pose_Para"),
        ({"pt3d_68": {"x": POINTS}}, "no pt3d_68"),
        ({"Pose_Para": "0 0 0"}, "no Pose_Para"),
    ],
)
def test_an_annotation_that_cannot_be_used_says_why(tmp_path: Path, content: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_annotation(write(tmp_path / "x.mat", **content))


def test_a_missing_or_damaged_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.mat is missing"):
        read_annotation(tmp_path / "x.mat")
    (tmp_path / "y.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(InputError, match=r"y\.mat: this is no MATLAB file|has no pt3d_68"):
        read_annotation(tmp_path / "y.mat")


def test_a_folder_without_photos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no photos"):
        list_photos(tmp_path)


def test_a_file_of_matlab_7_3_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(512))
    with pytest.raises(InputError, match=r"x\.mat: this is a file of MATLAB 7\.3"):
        read_annotation(tmp_path / "x.mat")
