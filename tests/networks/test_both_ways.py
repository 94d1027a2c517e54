from pathlib import Path

import numpy as np
import pytest
import torch

from facerecon_ray.config.assets import FITTER_WEIGHTS
from facerecon_ray.config.reconstruct import ReadSettings
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.networks.both_ways import look_both_ways
from facerecon_ray.networks.fitter import FitterNetwork, load_weights, shrink
from facerecon_ray.storage.photos.photo_file import decode_photo

PHOTOS = Path(__file__).parents[2] / "facerecon_ray/assets/photos"


@pytest.fixture(scope="module")
def network() -> FitterNetwork:
    return load_weights(FITTER_WEIGHTS, FaceModel.default()).eval()


@pytest.fixture(scope="module")
def crops() -> torch.Tensor:
    """(2, 3, 192, 192) parts of a photo that show a face, and none."""
    photo = decode_photo((PHOTOS / "grace_hopper.jpg").read_bytes(), ReadSettings()).pixels
    parts = np.stack([photo[:256, :256], photo[-256:, :256]])
    return shrink(torch.from_numpy(parts).permute(0, 3, 1, 2).float() / 255)


@torch.no_grad()
def test_the_face_of_a_mirrored_crop_is_the_mirrored_face(network: FitterNetwork, crops: torch.Tensor) -> None:
    faces, mirrored = look_both_ways(network, crops), look_both_ways(network, crops.flip(-1))
    across = torch.stack([256 - mirrored.points[..., 0], mirrored.points[..., 1]], -1)[:, network.mirrored]
    assert torch.allclose(faces.points, across, atol=1e-2)
    assert torch.allclose(faces.deviation, mirrored.deviation[:, network.mirrored], rtol=1e-3)
    assert torch.allclose(faces.spread, mirrored.spread, rtol=1e-3)
    signs = torch.tensor([-1.0, 1.0, -1.0])
    assert torch.allclose(faces.camera.angles, signs * mirrored.camera.angles, atol=1e-2)
    assert torch.allclose(faces.camera.scale, mirrored.camera.scale, rtol=1e-4)
    assert torch.allclose(faces.camera.translation[:, 0], 256 - mirrored.camera.translation[:, 0], atol=1e-2)


@torch.no_grad()
def test_points_are_the_mean_of_both_looks_and_the_face_follows_from_them(
    network: FitterNetwork, crops: torch.Tensor
) -> None:
    faces = look_both_ways(network, crops)
    alone, other = network.read(network(crops)), network.read(network(crops.flip(-1)))
    there, back = alone.points[:, network.telling], other.points[:, network.telling][:, network.mirrored]
    mean = (there + torch.stack([256 - back[..., 0], back[..., 1]], -1)) / 2
    assert torch.allclose(faces.points, mean, atol=1e-2)
    assert (there - mean).norm(dim=-1).max() > 0.1, "the looks differ"
    assert torch.allclose(faces.rotation @ faces.rotation.mT, torch.eye(3).expand(2, 3, 3), atol=1e-5)
    coefficients = torch.cat([faces.shape, faces.expression], 1)
    assert torch.allclose(coefficients, network.coefficients(faces.points, faces.rotation), atol=1e-5)


@torch.no_grad()
def test_mixed_precision_does_not_round_what_follows_from_the_looks(
    network: FitterNetwork, crops: torch.Tensor
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        faces = look_both_ways(network, crops)
    for part in (faces.points, faces.rotation, faces.shape, faces.camera.angles, faces.deviation):
        assert part.dtype == torch.float32
