import numpy as np
import pytest

from facerecon_ray.config.people import GroupingSettings
from facerecon_ray.stages.people import grouping
from facerecon_ray.stages.people.grouping import NOBODY, GroupedFaces, group_faces

SETTINGS = GroupingSettings()
WITHIN, BETWEEN = 0.35, 0.85


def near(centre: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return (centre + rng.normal(0, WITHIN / np.sqrt(256), (count, 128))).astype(np.float32)


def crowd(people: int, photos: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors of people, as far apart as dlib's are, and whose they are."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, BETWEEN / np.sqrt(256), (people, 128))
    return np.concatenate([near(centre, photos, rng) for centre in centres]), np.arange(people).repeat(photos)


def faces(descriptor: np.ndarray, **values: np.ndarray) -> GroupedFaces:
    """Good faces of photos of their own and of nobody known, but for what is given."""
    count = len(descriptor)
    nobody = np.full(count, NOBODY)
    usual = {"photo": np.arange(count), "good": np.ones(count, bool), "known": nobody, "track": nobody}
    return GroupedFaces(descriptor, **{**usual, **values})


def same_groups(found: np.ndarray, truth: np.ndarray) -> bool:
    return bool(((found[:, None] == found) == (truth[:, None] == truth)).all())


@pytest.mark.parametrize("exact", [True, False])
def test_each_person_is_one_group_however_neighbours_are_found(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "EXACT", 10_000 if exact else 100)
    descriptor, truth = crowd(60, 12)
    order = np.random.default_rng(1).permutation(len(truth))
    found = group_faces(faces(descriptor[order]), SETTINGS)
    assert found.max() == 59 and same_groups(found, truth[order])


def test_faces_of_one_photo_are_never_one_person() -> None:
    descriptor, _ = crowd(1, 6)
    photo = np.array([0, 0, 1, 2, 2, 3])
    found = group_faces(faces(descriptor, photo=photo), SETTINGS)
    assert found[0] != found[1] and found[3] != found[4]
    assert len(set(found.tolist())) == 2


def test_one_face_that_resembles_two_people_does_not_make_one_of_them() -> None:
    descriptor, truth = crowd(2, 8)
    between = (descriptor[truth == 0].mean(0) + descriptor[truth == 1].mean(0)) / 2
    found = group_faces(faces(np.vstack([descriptor, between.astype(np.float32)])), SETTINGS)
    assert same_groups(found[:-1], truth)


def test_poor_faces_join_whom_they_clearly_resemble_and_found_nothing() -> None:
    descriptor, truth = crowd(3, 5)
    good = truth != 2
    good[0] = False
    found = group_faces(faces(descriptor, good=good), SETTINGS)
    assert found[0] == found[1] and (found[truth == 2] == NOBODY).all()
    between = ((descriptor[1:5].mean(0) + descriptor[5:10].mean(0)) / 2)[None].astype(np.float32)
    doubtful = faces(np.vstack([descriptor, between]), good=np.append(good, False))
    assert group_faces(doubtful, SETTINGS)[-1] == NOBODY


def test_known_persons_keep_their_numbers_and_faces_and_stay_apart() -> None:
    descriptor, truth = crowd(3, 6)
    known = np.where(np.arange(18) % 6 < 3, [7, 2, NOBODY][0], NOBODY)
    known[truth == 1], known[truth == 2] = NOBODY, NOBODY
    known[6] = 2
    split = known.copy()
    split[5] = 4
    found = group_faces(faces(descriptor, known=split), SETTINGS)
    assert (found[:3] == 7).all() and found[5] == 4 and found[6] == 2
    assert set(found[3:5].tolist()) <= {7, 4} and (found[truth == 1] == 2).all()
    assert set(found[truth == 2].tolist()) == {8}


def test_what_is_grouped_again_with_what_was_found_stays_as_it_is() -> None:
    descriptor, truth = crowd(20, 8)
    good = np.random.default_rng(3).random(len(truth)) < 0.7
    first = group_faces(faces(descriptor, good=good), SETTINGS)
    assert (first != NOBODY).mean() > 0.9
    assert np.array_equal(group_faces(faces(descriptor, good=good, known=first), SETTINGS), first)


def test_nobody_is_grouped_where_there_is_nobody() -> None:
    nothing = np.zeros((0, 128), np.float32)
    assert len(group_faces(faces(nothing), SETTINGS)) == 0
    lone = group_faces(faces(crowd(1, 1)[0]), SETTINGS)
    assert lone.tolist() == [0]
