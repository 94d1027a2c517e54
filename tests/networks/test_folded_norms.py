import torch
from torch import nn

from facerecon_ray.networks.face_proposer import FaceProposer
from facerecon_ray.networks.folded_norms import folded


def test_folded_network_answers_alike_without_normalisations() -> None:
    torch.manual_seed(0)
    network = FaceProposer()
    network(torch.rand(4, 3, 64, 64))  # running means that are not 0
    network.eval()
    pictures = torch.rand(2, 3, 48, 64)
    with torch.inference_mode():
        expected = network(pictures)
        found = folded(network)(pictures)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
