import pytest
import torch
from torch import Tensor

from facerecon_ray.networks.view_discriminator import (
    ViewDiscriminator,
    feature_distance,
    hinge_of_discriminator,
    hinge_of_generator,
    select,
)


@pytest.fixture(scope="module")
def network() -> ViewDiscriminator:
    torch.manual_seed(0)
    return ViewDiscriminator()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_every_scale_gives_the_features_of_every_layer(network: ViewDiscriminator, pictures: Tensor) -> None:
    shapes = [[tuple(layer.shape[1:]) for layer in scale] for scale in network(pictures)]
    assert shapes == [
        [(32, 128, 128), (64, 64, 64), (128, 32, 32), (192, 16, 16), (1, 15, 15)],
        [(32, 64, 64), (64, 32, 32), (128, 16, 16), (192, 8, 8), (1, 7, 7)],
    ]


def test_a_judgement_sees_a_patch_of_94_pixels(network: ViewDiscriminator, pictures: Tensor) -> None:
    given = pictures[:1].clone().requires_grad_()
    network(given)[0][-1][0, 0, 7, 7].backward()
    assert given.grad is not None
    touched = given.grad[0].abs().sum(0).nonzero()
    assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [94, 94]


@torch.no_grad()
def test_layers_do_not_enlarge_differences(network: ViewDiscriminator, pictures: Tensor) -> None:
    for _ in range(30):
        network(pictures)
    with torch.no_grad():
        norms = [layer.flatten(1).svd().S.max() for layer in _weights(network)]
    assert torch.stack(norms).max() < 1.2


def _weights(network: ViewDiscriminator) -> list[Tensor]:
    return [module.weight for module in network.modules() if isinstance(module, torch.nn.Conv2d)]


def _judged(value: float) -> list[list[Tensor]]:
    return [[torch.full((2, 4, 8, 8), value), torch.full((2, 1, 3, 3), value)] for _ in range(2)]


def test_hinge_losses_are_the_published_ones() -> None:
    assert hinge_of_generator(_judged(0.3)).tolist() == pytest.approx([-0.3, -0.3])
    assert hinge_of_discriminator(_judged(2.0), _judged(-2.0)).tolist() == [0.0, 0.0]
    assert hinge_of_discriminator(_judged(0.25), _judged(0.5)).tolist() == pytest.approx([2.25, 2.25])


def test_features_are_compared_without_the_judgements() -> None:
    real, fake = _judged(0.0), _judged(0.5)
    assert feature_distance(real, fake).tolist() == pytest.approx([0.5, 0.5])
    fake[0][-1] += 9.0
    assert feature_distance(real, fake).tolist() == pytest.approx([0.5, 0.5])


@torch.no_grad()
def test_rows_are_judged_each_for_itself(network: ViewDiscriminator, pictures: Tensor) -> None:
    network.eval()
    both, second = network(pictures), network(pictures[1:])
    network.train()
    for ours, theirs in zip(select(both, slice(1, None)), second, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, atol=1e-5)
