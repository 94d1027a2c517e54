import numpy as np

from facerecon_ray.config.people import GroupingSettings
from facerecon_ray.stages.people.following import UNFOLLOWED, FramedFaces, follow
from facerecon_ray.stages.people.grouping import NOBODY, GroupedFaces, group_faces


def framed(*faces: tuple[int, float, float, int]) -> FramedFaces:
    """Faces by clip, seconds, left edge of their box of 100 pixels, and which of some descriptors 1.4 apart."""
    clip, seconds, left, who = map(np.array, zip(*faces, strict=True))
    box = np.stack([left, 0 * left, left + 100, 0 * left + 100], 1).astype(float)
    return FramedFaces(clip, seconds.astype(float), box, np.eye(128, dtype=np.float32)[who])


def test_a_face_is_followed_while_it_overlaps_and_looks_alike() -> None:
    two = [(0, t / 2, 40 * t, 0) for t in range(4)] + [(0, t / 2, 400 - 40 * t, 1) for t in range(4)]
    found = follow(framed(*two))
    assert len(set(found[:4])) == len(set(found[4:])) == 1 and found[0] != found[4]
    jump, cut, long, other = (
        follow(framed((0, 0, 0, 0), (0, 0.5, 300, 0))),
        *(follow(framed((0, 0, 0, 0), second)) for second in ((0, 0.5, 0, 1), (0, 2.5, 0, 0), (1, 0.5, 0, 0))),
    )
    assert all(found[0] != found[1] for found in (jump, cut, long, other))


def test_faces_of_photos_are_not_followed_and_one_frame_goes_on_a_track_once() -> None:
    assert follow(framed((-1, np.nan, 0, 0), (-1, np.nan, 0, 0))).tolist() == [UNFOLLOWED] * 2
    found = follow(framed((3, 0.5, 20, 0), (3, 0.0, 0, 0), (3, 0.5, 0, 0)))
    assert found[1] == found[2] != found[0]


def test_a_followed_face_is_one_person_though_it_turns_and_two_clips_of_a_person_meet() -> None:
    rng = np.random.default_rng(0)
    descriptor = rng.normal(0, 0.02, (60, 128)).astype(np.float32)
    descriptor[20:30, 0] += 2.0  # a face that turned away looks like nobody
    track = np.repeat([0, 1], 30)
    good = np.ones(60, bool)
    good[20:30] = False
    faces = GroupedFaces(descriptor, np.arange(60), good, np.full(60, NOBODY), track)
    assert group_faces(faces, GroupingSettings()).tolist() == [0] * 60
    alone = GroupedFaces(descriptor, np.arange(60), good, np.full(60, NOBODY), np.full(60, UNFOLLOWED))
    assert (group_faces(alone, GroupingSettings())[20:30] == NOBODY).all()
    known = np.full(60, NOBODY)
    known[3], known[12] = 4, 7
    found = group_faces(GroupedFaces(descriptor, np.arange(60), good, known, track), GroupingSettings())
    assert found[3] == 4 and found[12] == 7 and set(found.tolist()) == {4, 7}
