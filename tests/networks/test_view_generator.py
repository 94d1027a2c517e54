from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from facerecon_ray.errors import AssetError
from facerecon_ray.networks.view_generator import (
    OUTPUT_SCALE,
    SEEN_SHARE,
    ViewGenerator,
    corrected_region,
    load_weights,
)


@pytest.fixture
def views() -> Tensor:
    """Two views with a head in the middle whose left half was seen."""
    generator = torch.Generator().manual_seed(0)
    seen, head = torch.zeros(2, 2, 1, 256, 256)
    head[..., 64:192, 64:192] = 1
    seen[..., 64:192, 64:128] = 1
    return torch.cat([torch.rand(2, 3, 256, 256, generator=generator), seen, head], 1)


@pytest.fixture
def trained() -> ViewGenerator:
    """With an output layer that says something."""
    torch.manual_seed(0)
    network = ViewGenerator()
    nn.init.normal_(network.output.weight, std=0.02)
    return network


@torch.no_grad()
def test_untrained_generator_returns_the_filled_view(views: Tensor) -> None:
    torch.manual_seed(0)
    assert torch.equal(ViewGenerator()(views), views[:, :3])


@torch.no_grad()
def test_output_lies_between_0_and_1_and_far_from_the_head_nothing_changes(
    trained: ViewGenerator, views: Tensor
) -> None:
    nn.init.constant_(trained.output.bias, 3.0 / OUTPUT_SCALE)
    output = trained(views)
    assert output.min() >= 0
    assert output.max() <= 1 + 1e-6
    assert torch.equal(output[..., :16, :], views[:, :3, :16])
    assert (output[..., 70:190, 130:190] > 0.99).all()


@torch.no_grad()
def test_what_the_photo_saw_is_corrected_less(trained: ViewGenerator, views: Tensor) -> None:
    nn.init.zeros_(trained.output.weight)
    nn.init.constant_(trained.output.bias, 0.1 / OUTPUT_SCALE)
    views[:, :3] = 0.5
    correction = trained(views) - views[:, :3]
    assert torch.allclose(correction[..., 100:160, 70:120], torch.tensor(0.1 * SEEN_SHARE), atol=1e-6)
    assert torch.allclose(correction[..., 100:160, 136:186], torch.tensor(0.1), atol=1e-6)


@torch.no_grad()
def test_a_picture_does_not_depend_on_those_beside_it(trained: ViewGenerator, views: Tensor) -> None:
    assert torch.allclose(trained(views)[:1], trained(views[:1]), atol=1e-5)


def test_a_pixel_beyond_the_limits_is_still_taught(trained: ViewGenerator, views: Tensor) -> None:
    nn.init.constant_(trained.output.bias, 3.0 / OUTPUT_SCALE)
    trained(views).sum().backward()
    assert trained.output.bias.grad is not None
    assert trained.output.bias.grad.min() > 0


def test_every_parameter_learns(trained: ViewGenerator, views: Tensor) -> None:
    trained(views).square().mean().backward()
    still = [name for name, weight in trained.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert still == []


@torch.no_grad()
def test_it_is_as_small_as_its_description_says(views: Tensor) -> None:
    network = ViewGenerator()
    counts = []

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        counts.append(module.weight.numel() * output.shape[-1] * output.shape[-2])

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(views[:1])
    assert round(sum(weight.numel() for weight in network.parameters()) / 1e6, 1) == 3.7
    assert round(sum(counts) / 1e9, 1) == 1.5


def test_the_corrected_region_holds_the_head_and_a_rim() -> None:
    head = torch.zeros(1, 1, 256, 256)
    head[..., 100:150, 100:150] = 1
    region = corrected_region(head)
    assert region[head > 0].min() == 1
    assert region[0, 0, 125, 155:160].min() > 0.9
    assert region[0, 0, 125, 200:].max() == 0
    assert corrected_region(torch.zeros(1, 1, 256, 256)).max() == 0


@torch.no_grad()
def test_saved_weights_give_the_same_output_again(trained: ViewGenerator, views: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "rotator.safetensors"
    safetensors.torch.save_file(trained.state_dict(), path)
    loaded = load_weights(path)
    assert not loaded.training
    assert torch.equal(loaded(views), trained(views))


def test_missing_weights_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="rotator weights"):
        load_weights(tmp_path / "nothing.safetensors")
