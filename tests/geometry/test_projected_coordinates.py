import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.projected_coordinates import coordinate_codes, projected_coordinates
from facerecon_ray.geometry.rasterizer import rasterize

MODEL = FaceModel.default()
CODES = coordinate_codes(MODEL)
SCALE = 800.0


def points(angles: tuple[float, float, float], count: int = 1) -> torch.Tensor:
    camera = Camera(torch.tensor([angles] * count), torch.full((count,), SCALE), torch.full((count, 2), 128.0))
    return camera.project(MODEL.mean.expand(count, -1, -1))


def test_codes_fill_the_unit_cube() -> None:
    assert torch.equal(CODES.amin(0), torch.zeros(3))
    assert torch.equal(CODES.amax(0), torch.ones(3))


@pytest.mark.parametrize("size", [256, 128])
def test_a_head_from_the_front_shows_its_own_coordinates(size: int) -> None:
    head = points((0.0, 0.0, 0.0)) * size / 256
    picture = projected_coordinates(MODEL, CODES, head, size)[0]
    seen = rasterize(head, MODEL.triangles, size, size, cull_back=True)
    low, high = MODEL.mean.amin(0), MODEL.mean.amax(0)
    centres = (torch.arange(size) + 0.5) * 256 / size
    across = ((centres - 128) / SCALE - low[0]) / (high[0] - low[0])
    upwards = ((128 - centres) / SCALE - low[1]) / (high[1] - low[1])
    inwards = (seen.depth[0] * 256 / size / SCALE - low[2]) / (high[2] - low[2])
    mask = seen.mask[0]
    assert 0.1 < mask.float().mean() < 0.9
    assert (picture[0] - across[None, :])[mask].abs().max() < 1e-3
    assert (picture[1] - upwards[:, None])[mask].abs().max() < 1e-3
    assert (picture[2] - inwards)[mask].abs().max() < 1e-3


def test_there_is_nothing_where_there_is_no_head() -> None:
    head = points((30.0, 0.0, 0.0))
    picture = projected_coordinates(MODEL, CODES, head, 256)
    mask = rasterize(head, MODEL.triangles, 256, 256, cull_back=True).mask
    assert not picture.permute(0, 2, 3, 1)[~mask].any()
    assert picture.min() >= 0 and picture.max() <= 1
    away = projected_coordinates(MODEL, CODES, head + 1000.0, 256)
    assert away.shape == (1, 3, 256, 256) and not away.any()


def test_a_turned_head_shows_its_other_side() -> None:
    both = torch.cat([points((70.0, 0.0, 0.0)), points((-70.0, 0.0, 0.0))])
    pictures = projected_coordinates(MODEL, CODES, both, 256)
    sides = [picture[0][(picture > 0).any(0)].mean() for picture in pictures]
    assert sides[0] < 0.4 and sides[1] > 0.6
