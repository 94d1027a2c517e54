import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from facerecon_ray.config.assets import FITTER_WEIGHTS
from facerecon_ray.config.reconstruct import CropSettings
from facerecon_ray.errors import InputError
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.both_ways import look_both_ways
from facerecon_ray.networks.fitter import FitterNetwork, load_weights, shrink
from facerecon_ray.stages.face_finder import FaceFinder
from facerecon_ray.training.recipes.taught_portraits import TaughtPortraits

PHOTOS = Path(__file__).parents[3] / "facerecon_ray/assets/photos"


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(CropSettings(device="cpu"))


@pytest.fixture(scope="module")
def network() -> FitterNetwork:
    return load_weights(FITTER_WEIGHTS, FaceModel.default()).eval()


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory, finder: FaceFinder, network: FitterNetwork) -> TaughtPortraits:
    """Of two photos with faces, one without, and one that is damaged."""
    folder = tmp_path_factory.mktemp("portraits")
    for name in ("grace_hopper.jpg", "eileen_collins.jpg"):
        shutil.copy(PHOTOS / name, folder)
    Image.new("RGB", (300, 300), "grey").save(folder / "no_face.png")
    (folder / "damaged.jpg").write_bytes(b"no photo")
    return TaughtPortraits.read(folder, finder, network)


@torch.no_grad()
def test_each_face_is_cut_out_and_what_it_teaches_is_near_to_what_one_look_says(
    portraits: TaughtPortraits, network: FitterNetwork
) -> None:
    assert portraits.crops.shape == (2, 3, 256, 256) and portraits.crops.dtype == torch.uint8
    once = look_both_ways(network, shrink(portraits.crops.float() / 255))
    apart = (portraits.points - once.points).norm(dim=-1)
    assert 0.01 < apart.mean() < 2.0
    coefficients = torch.cat([once.shape, once.expression], 1)
    assert (portraits.coefficients - coefficients).square().mean() < 0.25 * coefficients.square().mean()


def test_a_folder_without_faces_is_refused(tmp_path: Path, finder: FaceFinder, network: FitterNetwork) -> None:
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "no_face.png")
    with pytest.raises(InputError, match=r"no photo of .* shows a face"):
        TaughtPortraits.read(tmp_path, finder, network)


def test_portraits_are_drawn_by_the_seed(portraits: TaughtPortraits) -> None:
    first, again = (portraits.draw(12, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.crops.shape == (12, 3, 256, 256) and torch.equal(first.points, again.points)
    assert {float(points.sum()) for points in first.points} == {float(points.sum()) for points in portraits.points}
