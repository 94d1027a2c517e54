import numpy as np
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.similarity import Similarity

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(40, 3))
FIRST = Similarity(2.5, Rotation.random(random_state=1).as_matrix(), np.array([3.0, -1.0, 7.0]))
SECOND = Similarity(0.1, Rotation.random(random_state=2).as_matrix(), np.array([-2.0, 0.5, 0.0]))


def test_the_inverse_leads_back() -> None:
    np.testing.assert_allclose(FIRST.inverse().apply(FIRST.apply(POINTS)), POINTS, atol=1e-12)


def test_after_does_the_other_first() -> None:
    np.testing.assert_allclose(SECOND.after(FIRST).apply(POINTS), SECOND.apply(FIRST.apply(POINTS)), atol=1e-12)


def test_between_finds_the_transform_of_known_points() -> None:
    found = Similarity.between(POINTS, FIRST.apply(POINTS))
    assert abs(found.scale - FIRST.scale) < 1e-12
    np.testing.assert_allclose(found.apply(POINTS), FIRST.apply(POINTS), atol=1e-12)


def test_turning_about_a_point_leaves_it_where_it_was() -> None:
    centre, turn = POINTS[7], Rotation.from_euler("y", 40, degrees=True).as_matrix()
    turned = FIRST.turned_about(centre, turn)
    np.testing.assert_allclose(turned.apply(centre), FIRST.apply(centre), atol=1e-12)
    np.testing.assert_allclose(turned.rotation, FIRST.rotation @ turn, atol=1e-12)
