import pytest
import torch

from facerecon_ray.geometry.crop_transform import CROP_SIZE
from facerecon_ray.geometry.face_model import FaceModel, usual_landmark_noise
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.position_map import MAP_SIZE, UvLayout

FACES = 8
POSES = [(0.0, 0.0, 0.0), (45.0, -10.0, 5.0), (90.0, 5.0, 3.0), (-90.0, 5.0, -20.0)]


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel.default()


@pytest.fixture(scope="module")
def layout(model: FaceModel) -> UvLayout:
    return UvLayout.of(model)


@pytest.fixture(scope="module")
def heads(model: FaceModel) -> torch.Tensor:
    """(8, N, 3) random heads with a few strong expressions each."""
    generator = torch.Generator().manual_seed(0)
    shape = torch.randn(FACES, model.shape_size, generator=generator)
    strength = torch.rand(2, FACES, model.expression_size, generator=generator)
    return model.vertices(shape, strength[0] * (strength[1] < 0.1))


def cameras(angles: tuple[float, float, float], count: int = FACES) -> Camera:
    return Camera(torch.tensor([angles] * count), torch.full((count,), 900.0), torch.full((count, 2), 128.0))


def test_every_pixel_of_the_square_shows_the_face_but_those_between_the_lips(layout: UvLayout) -> None:
    row, column = (~layout.mask).nonzero().T
    assert 0 < len(row) < 0.01 * MAP_SIZE**2
    assert row.min() > 0.6 * MAP_SIZE and row.max() < 0.8 * MAP_SIZE
    assert column.min() > 0.3 * MAP_SIZE and column.max() < 0.7 * MAP_SIZE
    assert len(layout.pixel_uv) == layout.mask.sum()
    assert torch.equal(layout.pixel_uv[0], torch.tensor([0.5, 0.5]) / MAP_SIZE)
    assert torch.equal(layout.pixel_uv[1], torch.tensor([1.5, 0.5]) / MAP_SIZE)


def test_pixels_show_the_point_that_the_uv_coordinates_put_there(layout: UvLayout) -> None:
    shown = layout.over_pixels(layout.vertex_uv[None])[0]
    assert (shown - layout.pixel_uv).abs().max() < 1e-5


@pytest.mark.parametrize("angles", POSES)
def test_vertices_survive_the_map_within_half_a_percent_of_the_face(
    layout: UvLayout, heads: torch.Tensor, angles: tuple[float, float, float]
) -> None:
    camera = cameras(angles)
    points = camera.project(heads)
    face = heads[:, layout.vertices]
    size = camera.scale * (face.amax(1) - face.amin(1))[:, :2].prod(-1).sqrt()
    for precision in (torch.float32, torch.float16):
        maps = layout.position_map(points).to(precision)
        error = (layout.vertices_from_map(maps) - points[:, layout.vertices]).norm(dim=-1) / size[:, None]
        assert error.mean() < 0.0015
        # Triangles where the lips meet are smaller than a UV pixel.
        assert error.quantile(0.97) < 0.005
        assert error.max() < 0.04


def test_a_linear_map_gives_the_exact_vertices_up_to_the_border(layout: UvLayout) -> None:
    centres = (torch.arange(MAP_SIZE) + 0.5) / MAP_SIZE
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    maps = torch.stack([u, v, u - v], -1)[None]
    u, v = layout.vertex_uv.unbind(-1)
    expected = torch.stack([u, v, u - v - 0.5], -1) * CROP_SIZE
    error = (layout.vertices_from_map(maps)[0] - expected).abs().amax(-1)
    # At the lips' rim some of the four pixels around a vertex show nothing.
    assert (error < 1e-3).float().mean() > 0.97
    assert error.max() < 1.0


def test_a_map_holds_crop_pixels_over_256_with_depth_0_at_one_half(
    model: FaceModel, layout: UvLayout, heads: torch.Tensor
) -> None:
    points = cameras((0.0, 0.0, 0.0)).project(heads)
    maps = layout.position_map(points)
    assert maps.shape == (FACES, 256, 256, 3)
    assert maps.dtype == torch.float32
    tip = model.mean[:, 2].argmax()
    column, row = (model.uv[tip] * MAP_SIZE).long()
    shown = maps[:, row, column]
    assert torch.allclose(shown[:, :2] * 256, points[:, tip, :2], atol=2.0)
    assert torch.allclose((shown[:, 2] - 0.5) * 256, points[:, tip, 2], atol=2.0)


def test_grid_triangles_face_outwards(layout: UvLayout, heads: torch.Tensor) -> None:
    camera = cameras((30.0, 10.0, 20.0))
    dense = camera.unproject(layout.points_from_map(layout.position_map(camera.project(heads))))
    a, b, c = (dense[:, corner] for corner in layout.grid_triangles.T)
    area = torch.linalg.cross(b - a, c - a, dim=-1) / 2
    # The face seen from the front is 14 cm wide and 16 cm high; hardly anything of it faces backwards.
    assert ((area[..., 2].sum(1) > 0.010) & (area[..., 2].sum(1) < 0.030)).all()
    assert (area[..., 2].clamp(max=0).sum(1) > -0.001).all()
    missing = 2 * (MAP_SIZE - 1) ** 2 - len(layout.grid_triangles)
    between_lips = int((~layout.mask).sum())
    assert 2 * between_lips < missing < 6 * between_lips


def test_face_triangles_are_the_models_own(model: FaceModel, layout: UvLayout) -> None:
    assert torch.equal(layout.vertices[layout.triangles], model.triangles[model.face_triangles])


def test_mirror_uv_leads_to_the_mirrored_point(model: FaceModel, layout: UvLayout) -> None:
    mean = model.mean[layout.vertices][None]
    shown = torch.zeros(MAP_SIZE**2, 3)
    shown[layout.mask.flatten()] = layout.over_pixels(mean)[0]
    places = shown[layout.nearest].view(1, MAP_SIZE, MAP_SIZE, 3).permute(0, 3, 1, 2)
    mirrored = torch.nn.functional.grid_sample(
        places, 2 * layout.mirror_uv[None] - 1, padding_mode="border", align_corners=False
    )
    difference = (mirrored - places * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]).norm(dim=1)[0, layout.mask]
    assert difference.mean() < 0.001
    assert difference.max() < 0.010


def test_pixels_outside_the_face_are_zero_and_do_not_pull_its_border() -> None:
    model = triangle_model()
    layout = UvLayout.of(model)
    assert 0 < layout.mask.sum() < MAP_SIZE**2
    points = model.mean[None]
    maps = layout.position_map(points)
    assert (maps[:, ~layout.mask] == 0).all()
    assert torch.isfinite(maps).all()
    maps[:, ~layout.mask] = 100.0
    assert (layout.vertices_from_map(maps) - points[:, layout.vertices]).norm(dim=-1).max() < 2.0
    assert layout.triangles.max() == 2


def triangle_model() -> FaceModel:
    """One triangle inside the UV square, and a vertex that is not in the face region."""
    return FaceModel(
        mean=torch.tensor([[9.0, 9.0, 9.0], [40.0, 40.0, 1.0], [40.0, 200.0, 2.0], [200.0, 40.0, 3.0]]),
        shape_basis=torch.zeros(1, 4, 3),
        expression_basis=torch.zeros(1, 4, 3),
        expression_range=torch.tensor([0.0, 1.0]),
        triangles=torch.tensor([[1, 2, 3], [0, 1, 2]]),
        face_triangles=torch.tensor([0]),
        uv=torch.tensor([[torch.nan, torch.nan], [0.2, 0.2], [0.2, 0.8], [0.8, 0.2]]),
        mirror=torch.tensor([1, 0, 3, 2]),
        regions=torch.zeros(4, dtype=torch.uint8),
        landmark_corners=torch.ones(51, 3, dtype=torch.int64),
        landmark_weights=torch.full((51, 3), 1 / 3),
        contour_corners=torch.ones(17, 1, 3, dtype=torch.int64),
        contour_weights=torch.full((17, 1, 3), 1 / 3),
        landmark_noise=usual_landmark_noise(),
        recipe={},
    )
