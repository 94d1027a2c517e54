import torch

from facerecon_ray.geometry.person_merging import merge_photos
from facerecon_ray.geometry.shape_of_person import ShapeEvidence

SIZE, PHOTOS = 20, 6


def evidence(truth: torch.Tensor, seed: int) -> ShapeEvidence:
    """What photos of shapes (N, S) tell: each of other directions, with a little less noise than they say."""
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(len(truth), SIZE, SIZE // 2, generator=generator, dtype=torch.float64)
    information = factor @ factor.mT / 4
    noise = (factor @ torch.randn(len(truth), SIZE // 2, 1, generator=generator, dtype=torch.float64))[..., 0] / 3
    return ShapeEvidence(information, (information @ truth[..., None])[..., 0] + noise)


def shape(seed: int) -> torch.Tensor:
    return torch.randn(SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_photos_of_one_person_all_count_and_leave_less_open_than_each() -> None:
    own = evidence(shape(0).expand(PHOTOS, -1), 1)
    merged = merge_photos(own, torch.ones(PHOTOS))
    assert merged.used.all() and merged.disagreement.max() < 2
    assert torch.allclose(merged.shape, ShapeEvidence(own.information.sum(0), own.weighted.sum(0)).shape)
    assert (merged.covariance.diagonal() < own.covariance.diagonal(dim1=1, dim2=2).amin(0)).all()
    alone = (own.shape.double() - shape(0)).norm(dim=1)
    assert (merged.shape.double() - shape(0)).norm() < 0.7 * alone.min()


def test_a_stranger_among_photos_of_a_person_is_left_out_and_named() -> None:
    for seed in range(5):
        truth = shape(seed).expand(PHOTOS, -1).clone()
        truth[3] = 2 * shape(100 + seed)
        mixed = evidence(truth, seed)
        merged = merge_photos(mixed, torch.ones(PHOTOS))
        assert merged.used.tolist() == [number != 3 for number in range(PHOTOS)]
        assert int(merged.disagreement.argmax()) == 3
        keep = merged.used
        rest = merge_photos(ShapeEvidence(mixed.information[keep], mixed.weighted[keep]), torch.ones(PHOTOS - 1))
        assert torch.allclose(rest.shape, merged.shape, atol=1e-5)


def test_of_two_photos_that_disagree_the_one_that_is_trusted_more_is_kept() -> None:
    mixed = evidence(torch.stack([3 * shape(1), -3 * shape(1)]), 4)
    for trust, used in (([0.8, 0.7], [True, False]), ([0.6, 0.7], [False, True])):
        merged = merge_photos(mixed, torch.tensor(trust))
        assert merged.used.tolist() == used
        assert torch.allclose(merged.shape, mixed.shape[used.index(True)], atol=1e-5)


def test_a_photo_that_tells_nothing_disagrees_with_nothing() -> None:
    own = evidence(shape(0).expand(3, -1), 1)
    own.information[2], own.weighted[2] = 0, 0
    merged = merge_photos(own, torch.ones(3))
    assert merged.used.all() and merged.disagreement[2] == 0
