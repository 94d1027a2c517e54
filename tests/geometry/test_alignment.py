import numpy as np
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.alignment import align, apply_alignment


def test_alignment_recovers_a_batch_of_similarity_transforms() -> None:
    rng = np.random.default_rng(0)
    source = rng.normal(size=(4, 30, 3))
    rotation = Rotation.random(4, rng=rng).as_matrix()
    scale, translation = rng.uniform(0.5, 2.0, 4), rng.normal(size=(4, 3))
    target = apply_alignment(source, scale, rotation, translation)
    found = align(source, target)
    for value, expected in zip(found, (scale, rotation, translation), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-10)


def test_alignment_never_mirrors() -> None:
    rng = np.random.default_rng(1)
    source = rng.normal(size=(30, 3))
    _, rotation, _ = align(source, source * [-1.0, 1.0, 1.0])
    assert np.linalg.det(rotation) > 0.99
