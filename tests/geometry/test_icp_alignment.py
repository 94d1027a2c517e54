import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.icp_alignment import align_to_scan
from facerecon_ray.geometry.mesh_errors import mesh_errors
from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.geometry.surface import Surface
from tests.geometry.random_heads import FACE, TRIANGLES, random_head

HEAD = random_head(0)
SCAN = Surface(HEAD, TRIANGLES)
MOVED = Similarity(37.0, Rotation.random(random_state=5).as_matrix(), np.array([500.0, -20.0, 10.0]))


def bad_start(points: np.ndarray, degrees: float, seed: int) -> Similarity:
    """The true way back, turned about a random axis, 10 % too large and a centimetre off."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=3)
    turn = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    start = MOVED.inverse().turned_about(points.mean(0), turn)
    middle = points.mean(0)
    grown = start.after(Similarity(1.1, np.eye(3), -0.1 * middle))
    return Similarity(grown.scale, grown.rotation, grown.translation + rng.normal(0.0, 0.01, 3))


@pytest.mark.parametrize("seed", range(4))
def test_a_mesh_on_itself_has_no_error_after_any_similarity_and_a_40_degree_start(seed: int) -> None:
    points = MOVED.apply(HEAD[FACE])
    found = align_to_scan(points, SCAN, bad_start(points, 40.0, seed))
    errors = mesh_errors(found.transform.apply(points), SCAN, HEAD[FACE[0]])
    assert errors.nme < 1e-6
    assert (found.fit, found.agreement) == (1.0, 1.0)
    assert found.transform.scale * MOVED.scale == pytest.approx(1.0, abs=1e-6)


def test_another_face_comes_to_rest_at_the_same_place_from_every_start() -> None:
    points = MOVED.apply(random_head(1)[FACE])
    scores = []
    for seed, degrees in enumerate((0.0, 20.0, 40.0, 50.0)):
        found = align_to_scan(points, SCAN, bad_start(points, degrees, seed))
        scores.append(mesh_errors(found.transform.apply(points), SCAN, HEAD[FACE[0]]).nme)
    assert np.ptp(scores) < 0.005 * np.mean(scores)


def test_the_scale_does_not_collapse_on_a_mesh_that_fits_badly() -> None:
    rng = np.random.default_rng(3)
    rough = HEAD[FACE] + rng.normal(0.0, 0.006, (len(FACE), 3))
    found = align_to_scan(rough, SCAN, Similarity.identity())
    assert 0.95 < found.transform.scale < 1.05


def test_a_hopeless_start_shows_in_the_fit_score() -> None:
    start = Similarity(1.0, np.eye(3), np.array([0.4, 0.3, 0.0]))
    assert align_to_scan(HEAD[FACE], SCAN, start).fit < 0.8
