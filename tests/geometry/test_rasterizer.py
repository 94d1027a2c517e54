"""The rasterizer against ray casting, and against answers known beforehand."""

import numpy as np
import pytest
import torch
import trimesh
from scipy import ndimage
from torch import Tensor

from facerecon_ray.geometry import rasterizer, rasterizer_numba, rasterizer_torch
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.rasterizer import Fragments, Holes, interpolate, rasterize, seen_triangles

SIZE = 256
ANGLES = torch.tensor([[0.0, 0.0, 0.0], [35.0, -10.0, 5.0], [-80.0, 25.0, -40.0], [150.0, 60.0, 90.0]])


@pytest.fixture(scope="module")
def mesh() -> tuple[Tensor, Tensor]:
    """A bumpy closed surface with folds: vertices in metres, 9,900 triangles counter-clockwise seen from outside."""
    sphere = trimesh.creation.uv_sphere(count=[51, 100])
    x, y, z = np.asarray(sphere.vertices).T
    radius = 0.1 * (1 + 0.15 * np.sin(6 * x + 1) * np.cos(5 * y) + 0.1 * np.sin(11 * z))
    vertices = np.stack([0.75 * x, y, 0.85 * z], 1) * radius[:, None]
    return torch.tensor(vertices, dtype=torch.float32), torch.tensor(np.asarray(sphere.faces), dtype=torch.int64)


@pytest.fixture(scope="module")
def points(mesh: tuple[Tensor, Tensor]) -> Tensor:
    camera = Camera(ANGLES, torch.full((4,), 1000.0), torch.tensor([128.0, 128.0]).expand(4, 2))
    return camera.project(mesh[0].expand(4, -1, -1))


@pytest.fixture(scope="module")
def fragments(mesh: tuple[Tensor, Tensor], points: Tensor) -> Fragments:
    return rasterize(points, mesh[1], SIZE, SIZE)


def pixel_centres(height: int, width: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack([columns, rows], -1)


def test_seen_triangles_are_those_of_the_fragments(
    mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments
) -> None:
    seen = seen_triangles(points, mesh[1], SIZE, SIZE)
    assert torch.equal(seen.nonzero()[:, 0], fragments.triangle[fragments.mask].unique())
    assert 0 < seen.sum() < len(seen)


@pytest.mark.parametrize("view", range(4))
def test_triangles_and_depth_agree_with_open3d_ray_casting(
    mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments, view: int
) -> None:
    open3d = pytest.importorskip("open3d")
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(points[view].numpy(), mesh[1].numpy().astype(np.uint32))
    origins = np.full((SIZE, SIZE, 3), 1000.0, np.float32)
    origins[..., :2] = pixel_centres(SIZE, SIZE).numpy()
    down = np.broadcast_to(np.array([0, 0, -1], np.float32), origins.shape)
    hit = scene.cast_rays(open3d.core.Tensor(np.concatenate([origins, down], -1)))
    triangle = hit["primitive_ids"].numpy().astype(np.int64)
    triangle[triangle == open3d.t.geometry.RaycastingScene.INVALID_ID] = -1
    ours = fragments.triangle[view].numpy()
    seen = (ours >= 0) | (triangle >= 0)
    assert seen.mean() > 0.25
    assert (ours == triangle)[seen].mean() >= 0.995
    both = (ours >= 0) & (triangle >= 0)
    difference = np.abs(fragments.depth[view].numpy()[both] - (1000.0 - hit["t_hit"].numpy()[both]))
    assert np.quantile(difference, 0.995) < 1e-2


def test_closed_mesh_has_no_pinholes(fragments: Fragments) -> None:
    for seen in fragments.mask.numpy():
        assert (ndimage.binary_fill_holes(seen) == seen).all()


@pytest.mark.parametrize("step", [1.0, 4.0, 7.3])
def test_jittered_grid_covers_every_pixel_though_its_corners_lie_on_pixel_centres(step: float) -> None:
    generator = torch.Generator().manual_seed(5)
    side = int(64 / step) + 2
    ticks = torch.arange(side) * step - 0.5
    grid = torch.stack([*torch.meshgrid(ticks, ticks, indexing="xy"), torch.zeros(side, side)], -1)
    jitter = torch.randint(-1, 2, (side - 2, side - 2, 2), generator=generator) * 0.25 * step
    grid[1:-1, 1:-1, :2] += jitter
    index = torch.arange(side * side).view(side, side)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = torch.cat([torch.stack(t, -1).view(-1, 3) for t in ((a, b, c), (a, c, d))])
    assert rasterize(grid.view(1, -1, 3), triangles, 64, 64).mask.all()


def test_interpolated_points_are_the_pixel_centres_and_the_depth(
    mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments
) -> None:
    values = interpolate(fragments, mesh[1], points)
    seen = fragments.mask
    centres = pixel_centres(SIZE, SIZE).expand(4, -1, -1, -1)
    assert (values[..., :2] - centres)[seen].abs().max() < 1e-2
    torch.testing.assert_close(values[..., 2][seen], fragments.depth[seen], atol=1e-3, rtol=0)
    torch.testing.assert_close(fragments.barycentric.sum(-1), seen.float())
    assert fragments.barycentric.min() >= 0


def test_attributes_shared_by_all_pictures_equal_attributes_given_for_each(
    mesh: tuple[Tensor, Tensor], fragments: Fragments
) -> None:
    colours = torch.rand(len(mesh[0]), 5, generator=torch.Generator().manual_seed(1))
    shared = interpolate(fragments, mesh[1], colours)
    assert torch.equal(shared, interpolate(fragments, mesh[1], colours.expand(4, -1, -1)))
    assert not shared[~fragments.mask].any()


def test_interpolation_passes_gradients_to_the_attributes(mesh: tuple[Tensor, Tensor], fragments: Fragments) -> None:
    colours = torch.zeros(len(mesh[0]), 1, requires_grad=True)
    interpolate(fragments, mesh[1], colours).sum().backward()
    assert colours.grad is not None
    assert colours.grad.sum().item() == pytest.approx(fragments.mask.sum().item(), rel=1e-4)


def test_back_faces_of_a_closed_mesh_are_never_the_nearest(
    mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments
) -> None:
    culled = rasterize(points, mesh[1], SIZE, SIZE, cull_back=True)
    assert torch.equal(culled.mask, fragments.mask)
    assert (culled.triangle == fragments.triangle).float().mean() > 0.999
    inside_out = rasterize(points, mesh[1].flip(1), SIZE, SIZE, cull_back=True)
    both = inside_out.mask & culled.mask
    assert (inside_out.depth <= culled.depth + 1e-3)[both].all()
    assert (inside_out.depth < culled.depth - 10)[both].float().mean() > 0.8


def test_front_facing_is_counter_clockwise_with_y_up() -> None:
    up = torch.tensor([[-0.01, -0.01, 0.0], [0.01, -0.01, 0.0], [0.0, 0.01, 0.0]])
    camera = Camera(torch.zeros(1, 3), torch.tensor([1000.0]), torch.tensor([[16.0, 16.0]]))
    image = camera.project(up[None])
    assert rasterize(image, torch.tensor([[0, 1, 2]]), 32, 32, cull_back=True).mask.any()
    assert not rasterize(image, torch.tensor([[2, 1, 0]]), 32, 32, cull_back=True).mask.any()


def test_pixel_belongs_to_a_triangle_when_its_centre_does() -> None:
    corner = torch.tensor([[[0.0, 0.0, 1.0], [8.0, 0.0, 1.0], [0.0, 8.0, 1.0]]])
    seen = rasterize(corner, torch.tensor([[0, 1, 2]]), 10, 10).mask[0]
    assert torch.equal(seen, pixel_centres(10, 10).sum(-1) <= 8)


def test_larger_z_hides_smaller_z_whatever_the_order_and_sign() -> None:
    square = torch.tensor([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]])
    for depths in ([-5.0, -3.0, -9.0], [2.0, -1.0, 0.0], [-0.0, -1e-30, 1e-30]):
        points = torch.cat([torch.cat([square, torch.full((3, 1), z)], 1) for z in depths])[None]
        fragments = rasterize(points, torch.arange(9).view(3, 3), 8, 8)
        assert (fragments.triangle == int(np.argmax(depths))).all()


def test_pictures_of_a_batch_do_not_mix(mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments) -> None:
    for view in range(4):
        alone = rasterize(points[view : view + 1], mesh[1], SIZE, SIZE)
        assert torch.equal(alone.triangle[0], fragments.triangle[view])
        assert torch.equal(alone.barycentric[0], fragments.barycentric[view])


def test_result_does_not_depend_on_the_chunk_size(
    mesh: tuple[Tensor, Tensor], points: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasterizer, "_way", lambda device: rasterizer_torch)
    whole = rasterize(points[:1], mesh[1], SIZE, SIZE)
    monkeypatch.setattr(rasterizer_torch, "CANDIDATES_PER_CHUNK", 5000)
    chunked = rasterize(points[:1], mesh[1], SIZE, SIZE)
    assert torch.equal(chunked.triangle, whole.triangle)
    assert torch.equal(chunked.depth, whole.depth)


def test_mesh_that_reaches_far_beyond_the_picture_is_cut_at_its_border(
    mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments
) -> None:
    window = points - torch.tensor([100.0, 60.0, 0.0])
    cut = rasterize(window, mesh[1], 90, 50)
    agree = cut.triangle == fragments.triangle[:, 60:150, 100:150]
    assert agree.float().mean() > 0.999


def test_pictures_with_meshes_of_their_own_are_those_of_each_mesh_alone(
    mesh: tuple[Tensor, Tensor], points: Tensor
) -> None:
    parts = [mesh[1], mesh[1][: len(mesh[1]) // 2]]
    filled = torch.nn.functional.pad(parts[1], (0, 0, 0, len(parts[0]) - len(parts[1])))
    own, pictures = torch.stack([parts[0], filled]), points[:1].repeat(2, 1, 1)
    together = rasterize(pictures, own, SIZE, SIZE)
    seen = interpolate(together, own, pictures)
    for row, triangles in enumerate(parts):
        alone = rasterize(points[:1], triangles, SIZE, SIZE)
        assert torch.equal(together.triangle[row], alone.triangle[0])
        assert torch.equal(together.depth[row], alone.depth[0])
        assert torch.equal(seen[row], interpolate(alone, triangles, points[:1])[0])


def test_what_is_not_shown_lets_the_triangles_behind_through() -> None:
    corners = torch.tensor([[0.0, 0.0, 0.0], [16.0, 0.0, 0.0], [0.0, 16.0, 0.0]])
    deeper = torch.tensor([0.0, 0.0, 5.0])
    points = torch.cat([corners, corners + deeper, corners - deeper]).expand(2, -1, -1)
    triangles = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8]])
    asked = []

    def shown(picture: Tensor, triangle: Tensor, pixel: Tensor) -> Tensor:
        asked.append(triangle.unique().tolist())
        return (picture == 1) & (pixel % 8 < 4)

    fragments = rasterize(points, triangles, 8, 8, holes=Holes(torch.tensor([False, True, True]), shown))
    assert (fragments.triangle[0] == 0).all()
    assert (fragments.triangle[1, :, :4] == 1).all() and (fragments.triangle[1, :, 4:] == 0).all()
    assert asked == [[1]], "what lies behind, or has no holes, need not be asked about"


def test_holes_may_be_of_each_picture_for_itself() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [16.0, 0.0, 0.0], [0.0, 16.0, 0.0]]).expand(2, -1, -1)
    pierced = torch.tensor([[False], [True]])
    holes = Holes(pierced, lambda picture, triangle, pixel: pixel % 2 == 0)
    seen = rasterize(points, torch.tensor([[0, 1, 2]]), 8, 8, holes=holes).mask
    assert seen[0].all() and (seen[1] == (torch.arange(8) % 2 == 0)).all()


def test_huge_triangles_fill_the_picture() -> None:
    points = torch.tensor([[-1e6, -1e6, 0.0], [3e6, -1e6, 0.0], [-1e6, 3e6, 0.0]]).repeat(30, 1)
    points[:, 2] = torch.arange(30).repeat_interleave(3)
    fragments = rasterize(points[None], torch.arange(90).view(30, 3), 128, 128)
    assert (fragments.triangle == 29).all()
    assert (fragments.depth == 29).all()


def test_triangles_without_area_or_with_corners_that_are_not_finite_are_skipped() -> None:
    good = [[0.0, 0.0, 0.0], [8.0, 0.0, 0.0], [0.0, 8.0, 0.0]]
    line = [[0.0, 0.5, 9.0], [4.0, 0.5, 9.0], [8.0, 0.5, 9.0]]
    no_depth = [[0.0, 0.0, float("nan")], [8.0, 0.0, 9.0], [0.0, 8.0, 9.0]]
    no_place = [[float("nan"), 0.0, 9.0], [8.0, 0.0, 9.0], [0.0, 8.0, 9.0]]
    endless = [[float("-inf"), 0.0, 9.0], [8.0, 0.0, 9.0], [0.0, 8.0, 9.0]]
    points = torch.tensor([good, line, no_depth, no_place, endless]).view(1, -1, 3)
    fragments = rasterize(points, torch.arange(15).view(5, 3), 8, 8)
    assert set(fragments.triangle.unique().tolist()) == {-1, 0}
    assert fragments.barycentric.isfinite().all()
    assert (fragments.depth[fragments.mask] == 0).all()


def test_slivers_never_give_values_outside_their_corners() -> None:
    generator = torch.Generator().manual_seed(2)
    ends = torch.rand(4000, 2, 2, generator=generator) * 64
    middle = ends.mean(1) + (torch.rand(4000, 2, generator=generator) - 0.5) * 1e-5
    flat = torch.cat([ends, middle[:, None]], 1)
    depth = torch.rand(4000, 3, 1, generator=generator)
    points = torch.cat([torch.round(flat * 2) / 2, depth], -1)
    points[:, 2, :2] = middle
    fragments = rasterize(points.view(1, -1, 3), torch.arange(12000).view(-1, 3), 64, 64)
    assert fragments.mask.any()
    seen = fragments.depth[fragments.mask]
    assert (seen >= 0).all()
    assert (seen <= 1).all()


def test_nothing_to_draw_gives_an_empty_picture() -> None:
    for points, triangles in (
        (torch.zeros(2, 3, 3), torch.zeros(0, 3, dtype=torch.int64)),
        (torch.full((2, 3, 3), -50.0), torch.tensor([[0, 1, 2]])),
        (torch.zeros(0, 3, 3), torch.tensor([[0, 1, 2]])),
    ):
        fragments = rasterize(points, triangles, 8, 6)
        assert fragments.triangle.shape == (len(points), 8, 6)
        assert not fragments.mask.any()
        assert (fragments.depth == -torch.inf).all()
        assert interpolate(fragments, triangles, points).shape == (len(points), 8, 6, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_sees_what_the_cpu_sees_to_the_bit(
    mesh: tuple[Tensor, Tensor], points: Tensor, fragments: Fragments
) -> None:
    assert rasterizer.kernels(points.cuda().device) is not None
    result = rasterize(points.cuda(), mesh[1].cuda(), SIZE, SIZE)
    assert torch.equal(result.triangle.cpu(), fragments.triangle)
    assert torch.equal(result.barycentric.cpu(), fragments.barycentric)
    assert torch.equal(result.depth.cpu(), fragments.depth)


def test_the_kernels_are_used_on_cuda_and_the_loops_on_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasterizer, "kernels", lambda device: "kernels")
    assert rasterizer._way(torch.device("cuda", 1)) == "kernels"
    assert rasterizer._way(torch.device("cpu")) is rasterizer_numba


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_where_the_kernels_cannot_run_plain_torch_draws_and_a_line_says_why(caplog: pytest.LogCaptureFixture) -> None:
    assert rasterizer.kernels.__wrapped__(torch.device("cuda")) is None
    assert "pictures are drawn by plain torch on cuda: " in caplog.text
