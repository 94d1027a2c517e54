import numpy as np

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.tutte import tutte_square


def _face() -> tuple[np.ndarray, np.ndarray]:
    model = FaceModel.default()
    triangles = model.triangles[model.face_triangles].numpy()
    index, local = np.unique(triangles, return_inverse=True)
    return model.mean.numpy()[index], local.reshape(-1, 3)


def test_no_triangle_of_the_face_is_folded_over() -> None:
    vertices, triangles = _face()
    corners = tutte_square(vertices, triangles)[triangles]
    to_b, to_c = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = to_b[:, 0] * to_c[:, 1] - to_b[:, 1] * to_c[:, 0]
    assert (area < 0).all(), "v points down, so counter-clockwise triangles have negative area"


def test_layout_fills_the_square_and_is_upright() -> None:
    vertices, triangles = _face()
    uv = tutte_square(vertices, triangles)
    assert uv.min() == 0.0
    assert uv.max() == 1.0
    assert np.corrcoef(uv[:, 0], vertices[:, 0])[0, 1] > 0.9
    assert np.corrcoef(uv[:, 1], vertices[:, 1])[0, 1] < -0.9


def test_stored_layout_is_this_embedding() -> None:
    model = FaceModel.default()
    vertices, triangles = _face()
    np.testing.assert_allclose(model.uv[model.face_vertices].numpy(), tutte_square(vertices, triangles), atol=1e-4)
