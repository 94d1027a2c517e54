from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter
from facerecon_ray.geometry.position_map import UvLayout
from facerecon_ray.geometry.smooth_border import SmoothBorder

SIDE = 16
COUNT = SIDE * SIDE


def toy_arrays() -> tuple[dict[str, Any], np.ndarray]:
    """A bulging square of 16 x 16 vertices in the layout of BFM.mat and BFM_UV.mat, 16 cm wide, in micrometres."""
    rng = np.random.default_rng(0)
    row, column = np.divmod(np.arange(COUNT), SIDE)
    x, y = column / (SIDE - 1) - 0.5, 0.5 - row / (SIDE - 1)
    vertices = np.stack([x, y, 0.8 - 1.5 * x**2 - y**2], 1) * 160_000
    a = (row * SIDE + column).reshape(SIDE, SIDE)[:-1, :-1].ravel()
    triangles = np.concatenate([np.stack([a, a + SIDE, a + 1]), np.stack([a + 1, a + SIDE, a + SIDE + 1])], 1)
    model = {
        "shapeMU": (vertices.ravel() - 1000)[:, None],
        "shapePC": rng.normal(size=(3 * COUNT, 5)),
        "shapeEV": np.array([[900.0], [600.0], [400.0], [300.0], [200.0]]),
        "expMU": np.full((3 * COUNT, 1), 1000.0),
        "expPC": rng.normal(size=(3 * COUNT, 3)),
        "expEV": np.array([[500.0], [300.0], [100.0]]),
        "tri": (triangles + 1).astype(np.int32),
        "kpt_ind": (rng.permutation(COUNT)[:68] + 1).astype(np.int32)[None],
    }
    uv = np.stack([column, SIDE - 1 - row], 1) / (SIDE - 1)
    return model, uv


def write(folder: Path, model: dict[str, Any], uv: np.ndarray) -> tuple[Path, Path]:
    savemat(folder / "BFM.mat", {"model": model})
    savemat(folder / "BFM_UV.mat", {"UV": uv})
    return folder / "BFM.mat", folder / "BFM_UV.mat"


def test_a_loaded_model_is_in_metres_with_bases_in_standard_deviations(tmp_path: Path) -> None:
    arrays, uv = toy_arrays()
    model = FaceModel.from_bfm(*write(tmp_path, arrays, uv))
    mean = ((arrays["shapeMU"] + arrays["expMU"]) * 1e-6).reshape(-1, 3)
    assert np.allclose(model.mean.numpy(), mean, atol=1e-7)
    assert (model.shape_size, model.expression_size) == (5, 3)
    moved = model.vertices(torch.tensor([[0.0, 2.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, -1.0]]))[0]
    expected = mean.ravel() + (2 * 600 * arrays["shapePC"][:, 1] - 100 * arrays["expPC"][:, 2]) * 1e-6
    assert np.allclose(moved.numpy().ravel(), expected, atol=1e-7)
    assert model.recipe["shape_deviations"] == [900.0, 600.0, 400.0, 300.0, 200.0]
    assert model.recipe["expression_deviations"] == [500.0, 300.0, 100.0]


def test_a_loaded_models_border_can_be_smoothed(tmp_path: Path) -> None:
    arrays, uv = toy_arrays()
    layout = UvLayout.of(model := FaceModel.from_bfm(*write(tmp_path, arrays, uv)))
    smooth = SmoothBorder.of(model, layout).vertex_uv
    assert smooth.min() >= 0.0
    assert smooth.max() <= 1.0
    (ax, ay), (bx, by) = ((smooth[layout.triangles[:, k]] - smooth[layout.triangles[:, 0]]).T for k in (1, 2))
    area = ax * by - ay * bx
    assert (area < 0).all() or (area > 0).all(), "triangles are turned over"
    corner = layout.vertex_uv.sum(1).argmin()
    assert smooth[corner].min() > 0.01, "the square's corner is rounded"


def test_indices_count_from_zero_and_uv_from_the_top(tmp_path: Path) -> None:
    arrays, uv = toy_arrays()
    model = FaceModel.from_bfm(*write(tmp_path, arrays, uv))
    assert np.array_equal(model.triangles.numpy().T, arrays["tri"] - 1)
    assert np.array_equal(model.contour_corners[:, 0, 0].numpy(), arrays["kpt_ind"][0, :17] - 1)
    assert np.array_equal(model.landmark_corners[:, 0].numpy(), arrays["kpt_ind"][0, 17:] - 1)
    assert model.contour_corners.shape == (17, 1, 3)
    assert torch.allclose(model.uv[0], torch.tensor([0.0, 0.0]))
    assert torch.allclose(model.uv[-1], torch.tensor([1.0, 1.0]))
    assert torch.equal(model.mirror, torch.arange(COUNT).view(SIDE, SIDE).flip(1).flatten())


def test_triangles_are_wound_outwards_whatever_the_file_does(tmp_path: Path) -> None:
    arrays, uv = toy_arrays()
    for triangles in (arrays["tri"], arrays["tri"][::-1]):
        model = FaceModel.from_bfm(*write(tmp_path, {**arrays, "tri": triangles}, uv))
        a, b, c = (model.mean[corner] for corner in model.triangles.T)
        assert (torch.linalg.cross(b - a, c - a)[:, 2] > 0).all()


def test_the_face_region_is_where_all_corners_have_uv(tmp_path: Path) -> None:
    arrays, uv = toy_arrays()
    uv[:SIDE] = np.nan
    model = FaceModel.from_bfm(*write(tmp_path, arrays, uv))
    assert torch.equal(model.face_vertices, torch.arange(SIDE, COUNT))
    assert len(model.face_triangles) == 2 * (SIDE - 1) * (SIDE - 2)


def test_fitting_and_position_maps_work_with_it(tmp_path: Path) -> None:
    model = FaceModel.from_bfm(*write(tmp_path, *toy_arrays()))
    generator = torch.Generator().manual_seed(0)
    vertices = model.vertices(torch.randn(2, 5, generator=generator), torch.randn(2, 3, generator=generator))
    corners = torch.cat([model.contour_corners[:, 0, 0], model.landmark_corners[:, 0]])
    points = vertices * torch.tensor([1.0, -1.0, 1.0]) * 1000 + torch.tensor([128.0, 128.0, 0.0])
    fit = LandmarkFitter(model)(points[:, corners, :2])
    assert (fit.error < 0.01).all()
    layout = UvLayout.of(model)
    error = (layout.vertices_from_map(layout.position_map(points)) - points[:, layout.vertices]).norm(dim=-1)
    assert error.max() < 0.5


def test_a_saved_model_loads_as_the_same(tmp_path: Path) -> None:
    model = FaceModel.from_bfm(*write(tmp_path, *toy_arrays()))
    model.save(tmp_path / "basel.npz")
    loaded = FaceModel.load(tmp_path / "basel.npz")
    assert torch.equal(loaded.mean, model.mean)
    assert torch.equal(loaded.triangles, model.triangles)
    assert torch.allclose(loaded.shape_basis, model.shape_basis, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapePC": None}, "no field 'shapePC'"),
        ({"expEV": np.ones((2, 1))}, r"expEV has shape \(2, 1\) .* expected 3 x 1"),
        ({"shapeMU": np.ones((3 * COUNT, 2))}, "shapeMU has shape"),
        ({"tri": np.full((3, 4), COUNT + 1)}, f"tri has indices outside 1 to {COUNT}"),
        ({"kpt_ind": np.ones((1, 51))}, "kpt_ind has shape"),
    ],
)
def test_a_wrong_array_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    arrays, uv = toy_arrays()
    changed = {name: value for name, value in {**arrays, **changes}.items() if value is not None}
    with pytest.raises(AssetError, match=message):
        FaceModel.from_bfm(*write(tmp_path, changed, uv))


def test_wrong_files_are_named(tmp_path: Path) -> None:
    arrays, uv = toy_arrays()
    model_path, uv_path = write(tmp_path, arrays, uv)
    with pytest.raises(AssetError, match=r"missing\.mat: No such file"):
        FaceModel.from_bfm(tmp_path / "missing.mat", uv_path)
    with pytest.raises(AssetError, match=r"BFM_UV\.mat: it has no structure 'model'"):
        FaceModel.from_bfm(uv_path, uv_path)
    with pytest.raises(AssetError, match=r"BFM\.mat: it has no array 'UV'"):
        FaceModel.from_bfm(model_path, model_path)
    for contents in (b"", b"no matlab file at all, but text" * 20, uv_path.read_bytes()[:200]):
        (tmp_path / "broken.mat").write_bytes(contents)
        with pytest.raises(AssetError, match=r"broken\.mat: this is no MATLAB file"):
            FaceModel.from_bfm(model_path, tmp_path / "broken.mat")
    savemat(uv_path, {"UV": uv[:-1]})
    with pytest.raises(AssetError, match=r"BFM_UV\.mat: UV has shape"):
        FaceModel.from_bfm(model_path, uv_path)
