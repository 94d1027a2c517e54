from types import SimpleNamespace

import pytest
import torch
from torch import nn

from facerecon_ray.networks import packed_convolutions
from facerecon_ray.networks.face_proposer import FaceProposer
from facerecon_ray.networks.folded_norms import folded
from facerecon_ray.networks.packed_convolutions import PackedConvolution, added, packed


def proposer() -> nn.Module:
    torch.manual_seed(0)
    network = FaceProposer()
    network(torch.rand(4, 3, 64, 64))  # running means that are not 0
    return folded(network.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.mark.parametrize("shape", [(1, 3, 48, 64), (3, 3, 112, 80)])
def test_packed_network_answers_alike_whatever_the_input_size(shape: tuple[int, ...]) -> None:
    network, pictures = proposer(), torch.rand(shape)
    with torch.inference_mode():
        expected = network(pictures)
        found = packed(network, torch.zeros(1, 3, 48, 64))(pictures)
    assert not any(isinstance(part, nn.Conv2d | nn.ReLU) for part in network.modules())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_rounded_network_takes_what_mixed_precision_gives_it() -> None:
    layers = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()).eval().to(torch.bfloat16)
    x = torch.randn(2, 8, 20, 20)
    with torch.inference_mode():
        expected = layers(x.to(torch.bfloat16))
        found = packed(layers, x[:1].to(torch.bfloat16))(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_sum_has_nothing_below_zero() -> None:
    convolution, x, other = nn.Conv2d(4, 4, 3, padding=1), torch.randn(2, 4, 6, 6), torch.randn(2, 4, 6, 6)
    with torch.inference_mode():
        expected = added(convolution, x, other)
        found = added(PackedConvolution(convolution, [1, 4, 6, 6], relu=False), x, other)
    assert expected.min() == 0
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_network_stays_as_it_is_where_the_operators_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_convolutions, "_OPERATORS", SimpleNamespace())
    network = proposer()
    assert packed(network, torch.zeros(1, 3, 48, 64)) is network
    assert not any(isinstance(part, PackedConvolution) for part in network.modules())
