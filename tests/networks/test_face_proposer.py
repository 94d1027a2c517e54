import pytest
import torch

from facerecon_ray.networks.face_proposer import OUTPUTS, STRIDE, USUAL_SIZE, FaceProposer, read_proposals


def test_maps_have_a_cell_for_each_four_pixels() -> None:
    maps = FaceProposer().eval()(torch.rand(2, 3, 64, 96))
    assert maps.shape == (2, OUTPUTS, 64 // STRIDE, 96 // STRIDE)


def test_weights_stay_below_two_megabytes() -> None:
    assert 2 * sum(value.numel() for value in FaceProposer().state_dict().values()) < 2e6


def test_peaks_are_read_as_places_sizes_and_rolls() -> None:
    maps = torch.full((OUTPUTS, 8, 10), -9.0)
    roll = torch.deg2rad(torch.tensor(135.0))
    maps[:, 3, 5] = torch.tensor([2.0, 0.25, -0.5, 0.5, roll.cos(), roll.sin()])
    maps[:, 3, 6] = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    maps[:, 6, 1] = torch.tensor([3.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    found = read_proposals(maps, 0.2)
    assert found.scores.tolist() == pytest.approx(torch.tensor([3.0, 2.0]).sigmoid().tolist())
    assert found.centres.tolist() == [[6.0, 26.0], [23.0, 12.0]]
    assert found.sizes.tolist() == pytest.approx([USUAL_SIZE, USUAL_SIZE * 1.64872], rel=1e-4)
    assert found.rolls.tolist() == pytest.approx([0.0, 135.0], abs=1e-3)


def test_scores_below_the_least_propose_nothing() -> None:
    assert len(read_proposals(torch.full((OUTPUTS, 4, 4), -1.0), 0.3).scores) == 0
