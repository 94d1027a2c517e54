from pathlib import Path

import numpy as np
import pytest

import facerecon_ray
from facerecon_ray.config.photos import ProfilingSettings
from facerecon_ray.errors import InputError, PhotoError
from facerecon_ray.geometry.crop_transform import crop_transform
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.storage.objects import open_store
from facerecon_ray.synthesis.profiled_subjects import ProfiledSubjects

PHOTOS = Path(facerecon_ray.__file__).parent / "assets" / "photos"
YAWS = (20.0, 70.0)


@pytest.fixture(scope="module")
def subjects() -> ProfiledSubjects:
    settings = ProfilingSettings(yaws=YAWS, yaw_noise=0.0)
    return ProfiledSubjects(open_store(PHOTOS), settings, FaceModel.default(), seed=0)


def test_each_photo_is_a_subject_in_the_order_of_their_names(subjects: ProfiledSubjects) -> None:
    names = sorted(path.name for path in PHOTOS.glob("*.jpg"))
    assert len(subjects) == len(names)
    rows = subjects.subject(1).photos()
    assert rows["origin"].tolist() == [names[1]] * len(YAWS)
    assert rows["source"].tolist() == ["profile"] * len(YAWS)
    assert set(rows["subject_seed"]) == {subjects.seed(1)}


def test_the_photo_itself_is_turned_to_the_wanted_pose_beside_the_crop(subjects: ProfiledSubjects) -> None:
    subject = subjects.subject(0)
    rows = subject.photos()
    transform = np.stack([crop_transform(points[:68, :2]) for points in rows["points"]])
    wanted = np.array([[50.0, 0.0, 0.0], [40.0, 0.0, 0.0]], np.float32)
    turned = subject.turned({**rows, "crop_transform": transform}, wanted)
    assert turned["true_rotated"].shape == (2, 256, 256, 3)
    assert turned["true_rotated"].any((1, 2, 3)).all()
    np.testing.assert_array_equal(turned["true_rotated_pose"], wanted)


def test_a_photo_of_no_use_says_why(subjects: ProfiledSubjects) -> None:
    turned_head = sorted(path.name for path in PHOTOS.glob("*.jpg")).index("synthetic_person_38.jpg")
    with pytest.raises(PhotoError, match="not near-frontal"):
        subjects.subject(turned_head)


def test_a_folder_without_photos_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{tmp_path.name}: there are no photos"):
        ProfiledSubjects(open_store(tmp_path), ProfilingSettings(), FaceModel.default(), seed=0)
