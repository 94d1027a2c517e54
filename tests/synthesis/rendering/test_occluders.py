import numpy as np
import pytest
from plain_head import plain_head, plain_view

from facerecon_ray.config.synthesis import OccluderSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.rendering.occluders import KINDS, FaceInPicture, Occluders

LIGHT = np.full((160, 160, 3), 0.3, np.float32)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return plain_view((20.0, 0.0, 0.0)).project(plain_head().surface)


def covered_share(occluded: np.ndarray, points: np.ndarray) -> float:
    column, row = points[FaceModel.default().face_vertices.numpy(), :2].astype(int).T
    return float(occluded[row, column].mean())


def test_nothing_covers_more_of_the_face_than_is_allowed(points: np.ndarray) -> None:
    shares = [
        covered_share(Occluders(OccluderSettings(most=0.25)).put_before(LIGHT, points, seed)[1], points)
        for seed in range(40)
    ]
    assert max(shares) < 0.4
    assert np.mean(np.array(shares) > 0.02) > 0.4


def test_a_seed_is_a_thing(points: np.ndarray) -> None:
    occluders = Occluders(OccluderSettings())
    (one, where), (again, _), (other, _) = (occluders.put_before(LIGHT, points, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.isfinite(one).all()
    assert (one >= 0.0).all()
    assert where.any()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_covers_something_softly(kind, points: np.ndarray) -> None:
    face: FaceInPicture = Occluders(OccluderSettings())._where(points, 160)
    shapes = [kind(face, np.random.default_rng(seed)) for seed in range(4)]
    assert all(shape.cover.min() >= 0.0 and shape.cover.max() <= 1.0 for shape in shapes)
    assert any(shape.cover.max() > 0.5 for shape in shapes)


def test_without_room_for_anything_the_picture_stays(points: np.ndarray) -> None:
    light, where = Occluders(OccluderSettings(most=0.0)).put_before(LIGHT, points, 5)
    assert not where[tuple(points[FaceModel.default().face_vertices.numpy(), :2].astype(int).T[::-1])].any()
    assert light.shape == LIGHT.shape
