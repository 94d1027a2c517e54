import numpy as np

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.mesh_topology import boundary_loops
from facerecon_ray.geometry.tutte import tutte_square


def _face() -> tuple[np.ndarray, np.ndarray]:
    """The face region, its mouth closed by triangles around one vertex, the last."""
    model = FaceModel.default()
    triangles = model.triangles[model.face_triangles].numpy()
    index, local = np.unique(triangles, return_inverse=True)
    vertices, local = model.mean.numpy()[index], local.reshape(-1, 3)
    rim = min(boundary_loops(local), key=len)
    middle = np.full(len(rim), len(vertices))
    closed = np.concatenate([local, np.stack([np.roll(rim, -1), rim, middle], 1)])
    return np.concatenate([vertices, vertices[rim].mean(0, keepdims=True)]), closed


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
    stored, made = model.uv[model.face_vertices].numpy(), tutte_square(vertices, triangles)[:-1]
    # Between the lips lay more triangles than one round, which moves what is around a little.
    assert np.abs(stored - made).max() < 0.01
    assert np.median(np.abs(stored - made)) < 1e-3
