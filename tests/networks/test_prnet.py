"""PRNet's layers and weight files."""

import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from settled import settle

from facerecon_ray.errors import AssetError
from facerecon_ray.networks.prnet import BLOCKS, PRNet, load_weights
from facerecon_ray.networks.two_view import TwoViewNetwork


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(picture: Tensor) -> PRNet:
    torch.manual_seed(0)
    network = PRNet()
    settle(network, picture)
    return network.eval()


@torch.no_grad()
def test_ten_residual_blocks_lead_to_8_by_8_pixels_of_512_channels(network: PRNet, picture: Tensor) -> None:
    x, side = network.get_submodule("conv1")(picture), 256
    assert x.shape == (1, 16, 256, 256)
    for number, (channels, stride) in enumerate(BLOCKS, 1):
        x, side = network.get_submodule(f"block{number}")(x), side // stride
        assert x.shape == (1, channels, side, side)
    assert x.shape == (1, 512, 8, 8)


@torch.no_grad()
def test_a_crop_becomes_a_position_map(network: PRNet, picture: Tensor) -> None:
    position_map = network(picture)
    assert position_map.shape == (1, 3, 256, 256)
    assert (position_map > 0).all() and (position_map < 1).all()
    assert position_map.std() > 0.001


def test_blocks_that_keep_the_shape_pass_their_input_on() -> None:
    network = PRNet()
    kept = [isinstance(network.get_submodule(f"block{number}").shortcut, nn.Identity) for number in range(1, 11)]
    assert kept == [False, True] * 5


def test_the_decoder_is_that_of_the_two_view_network() -> None:
    def decoder(network: nn.Module) -> dict[str, tuple[int, ...]]:
        return {name: value.shape for name, value in network.state_dict().items() if name.startswith("deconv")}

    assert decoder(PRNet()) == decoder(TwoViewNetwork())


@torch.no_grad()
def test_weights_come_back_from_their_file(network: PRNet, picture: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "prnet.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    assert torch.equal(load_weights(path)(picture), network(picture))


def test_weights_of_the_two_view_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file(TwoViewNetwork().state_dict(), path)
    with pytest.raises(AssetError, match=r"prnet weights .* of another network"):
        load_weights(path)
