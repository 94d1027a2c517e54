"""The two-view network against its published layer table, and its weight files."""

import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from settled import settle

from facerecon_ray.errors import AssetError
from facerecon_ray.networks.two_view import TwoViewNetwork, load_weights

PUBLISHED_OUTPUTS = [
    (32, 128, 128),
    (96, 64, 64),
    (144, 32, 32),
    (192, 16, 16),
    (576, 8, 8),
    (512, 8, 8),
    (512, 8, 8),
    (256, 16, 16),
    (256, 16, 16),
    (256, 16, 16),
    (128, 32, 32),
    (128, 32, 32),
    (128, 32, 32),
    (64, 64, 64),
    (64, 64, 64),
    (64, 64, 64),
    (32, 128, 128),
    (32, 128, 128),
    (16, 256, 256),
    (16, 256, 256),
    (3, 256, 256),
    (3, 256, 256),
    (3, 256, 256),
]


@pytest.fixture(scope="module")
def picture() -> Tensor:
    return torch.rand(1, 6, 256, 256, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network(picture: Tensor) -> TwoViewNetwork:
    torch.manual_seed(0)
    network = TwoViewNetwork()
    settle(network, picture)
    return network.eval()


@torch.no_grad()
def test_every_layer_has_the_published_output_shape(network: TwoViewNetwork, picture: Tensor) -> None:
    shapes = []
    hooks = [
        layer.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
        for layer in network.children()
    ]
    network(picture)
    for hook in hooks:
        hook.remove()
    assert shapes == PUBLISHED_OUTPUTS


@torch.no_grad()
def test_parameters_and_multiply_adds_are_the_published_ones(network: TwoViewNetwork, picture: Tensor) -> None:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert round(parameters / 1e6, 1) == 13.8

    counts = []

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        pixels = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        counts.append(module.weight.numel() * pixels.shape[-1] * pixels.shape[-2])

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    network(picture)
    for hook in hooks:
        hook.remove()
    assert round(sum(counts) / 1e9, 2) == 4.13


def test_kernels_are_the_published_ones(network: TwoViewNetwork) -> None:
    transposed = [module for module in network.modules() if isinstance(module, nn.ConvTranspose2d)]
    assert [module.stride[0] for module in transposed] == [1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 2, 1, 1, 1, 1]
    assert {module.kernel_size for module in transposed} == {(4, 4)}
    depthwise = [module for module in network.modules() if isinstance(module, nn.Conv2d) and module.groups > 1]
    assert [module.groups for module in depthwise] == [6 * 32, 6 * 96, 6 * 144, 6 * 192]
    assert {(module.kernel_size, module.stride) for module in depthwise} == {((3, 3), (2, 2))}


@torch.no_grad()
def test_output_lies_between_0_and_1_and_depends_on_both_views(network: TwoViewNetwork, picture: Tensor) -> None:
    output = network(picture)
    assert output.min() > 0
    assert output.max() < 1
    for view in (slice(0, 3), slice(3, 6)):
        changed = picture.clone()
        changed[:, view] = 1 - changed[:, view]
        assert (network(changed) - output).abs().mean() > 1e-3


def test_one_training_step_moves_every_parameter() -> None:
    torch.manual_seed(0)
    network = TwoViewNetwork()
    network(torch.rand(1, 6, 256, 256)).square().mean().backward()
    still = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


@torch.no_grad()
def test_saved_weights_give_the_same_output_again(network: TwoViewNetwork, picture: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "two_view.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    loaded = load_weights(path)
    assert not loaded.training
    assert torch.equal(loaded(picture), network(picture))


def test_missing_weight_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"nothing\.safetensors: no such file"):
        load_weights(tmp_path / "nothing.safetensors")


def test_file_that_is_not_safetensors_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "text.safetensors"
    path.write_text("these are no weights")
    with pytest.raises(AssetError, match="not a readable"):
        load_weights(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda state: state.update({"conv1.0.weight": torch.zeros(32, 3, 3, 3)}), r"conv1\.0\.weight has shape"),
        (lambda state: state.pop("deconv17.0.bias"), r"deconv17\.0\.bias is missing"),
        (lambda state: state.update({"head.weight": torch.zeros(1)}), r"head\.weight is unknown"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(
    network: TwoViewNetwork, tmp_path: Path, change: object, problem: str
) -> None:
    state = dict(network.state_dict())
    change(state)  # type: ignore[operator]
    path = tmp_path / "other.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(AssetError, match=problem):
        load_weights(path)
