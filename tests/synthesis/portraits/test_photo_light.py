import numpy as np

from facerecon_ray.synthesis.portraits.photo_light import estimate_light, shading


def _normals(count: int, rng: np.random.Generator) -> np.ndarray:
    normal = rng.normal(size=(count, 3))
    normal[:, 2] = np.abs(normal[:, 2]) + 0.5
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def test_light_is_found_although_a_fifth_of_the_skin_is_beard() -> None:
    rng = np.random.default_rng(0)
    normal = _normals(5000, rng)
    true = 0.3 + 0.25 * (normal @ np.array([0.6, -0.5, 0.62])).clip(0.0)
    seen = true * rng.normal(1.0, 0.03, len(true))
    seen[:1000] *= 0.3
    light = estimate_light(normal, seen)
    assert light is not None
    ratio = shading(normal, light) / true
    assert np.abs(ratio / np.median(ratio) - 1.0).mean() < 0.03


def test_no_light_without_skin() -> None:
    assert estimate_light(np.zeros((10, 3)), np.zeros(10)) is None
