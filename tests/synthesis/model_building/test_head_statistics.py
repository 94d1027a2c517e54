import numpy as np

from facerecon_ray.synthesis.model_building.head_statistics import (
    laid_on_face,
    principal_components,
    without_similarity,
)


def test_components_of_equal_spread_come_in_the_same_order_and_sign_every_time() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(0.0, 1.0, (120, 6)))[0].T
    rows = (axes * np.array([3.0, 2.0, 2.0, 2.0, 1.0, 1.0])[:, None]).reshape(6, 40, 3)
    first, explained = principal_components(rows, np.arange(40), 5)
    again, _ = principal_components(rows.copy(), np.arange(40), 5)
    np.testing.assert_array_equal(first, again)
    opposite, _ = principal_components(-rows, np.arange(40), 5)
    np.testing.assert_allclose(np.abs(opposite[0]), np.abs(first[0]), atol=1e-9)
    large = np.abs(first[0]).ravel() >= np.abs(first[0]).max() / 2
    assert first[0].ravel()[large.argmax()] > 0
    spread = (first**2).sum((1, 2))
    np.testing.assert_allclose(spread, [9.0, 4.0, 4.0, 4.0, 1.0], rtol=1e-9)
    assert explained == np.float64(22.0 / 23.0).item() or abs(explained - 22.0 / 23.0) < 1e-9


def test_more_rows_than_coordinates_give_the_same_components() -> None:
    rows = np.random.default_rng(1).normal(0.0, 1.0, (50, 4, 3)) * np.linspace(1.0, 2.0, 12).reshape(4, 3)
    basis, explained = principal_components(rows, np.arange(4), 12)
    assert abs(explained - 1.0) < 1e-9
    flat = rows.reshape(50, 12)
    np.testing.assert_allclose(np.einsum("kia,kjb->iajb", basis, basis).reshape(12, 12), flat.T @ flat, atol=1e-9)


def test_turning_and_growing_a_head_is_no_deviation() -> None:
    mean = np.random.default_rng(2).normal(0.0, 0.05, (30, 3))
    face = np.arange(20)
    turned = np.cross([0.01, -0.02, 0.03], mean) + [0.001, 0.0, -0.002] + 0.02 * mean
    bump = np.zeros((30, 3))
    bump[25, 1] = 0.01
    left = without_similarity(np.stack([turned, bump]), mean, face)
    assert np.abs(left[0]).max() < 1e-9
    np.testing.assert_allclose(left[1], bump, atol=1e-12)
    heads = np.stack([1.1 * (mean + bump) + [0.2, 0.0, 0.0]])
    np.testing.assert_allclose(laid_on_face(heads, mean, face)[0], mean + bump, atol=1e-9)
