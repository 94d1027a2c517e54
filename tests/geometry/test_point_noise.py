import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.point_noise import PointNoise, Precision


def _drawn(count: int) -> tuple[PointNoise, torch.Tensor]:
    """Noise of 15 points by 4 factors, and errors that have it."""
    random = torch.Generator().manual_seed(0)
    factors = torch.randn(30, 4, generator=random, dtype=torch.float64)
    own = 0.2 + torch.rand(30, generator=random, dtype=torch.float64)
    common = torch.randn(count, 4, generator=random, dtype=torch.float64) @ factors.T
    return PointNoise(factors, own), common + own.sqrt() * torch.randn(
        count, 30, generator=random, dtype=torch.float64
    )


def _covariance(noise: PointNoise) -> torch.Tensor:
    return noise.factors @ noise.factors.T + torch.diag(noise.own)


def test_common_factors_and_own_variances_are_found_in_errors() -> None:
    noise, errors = _drawn(20_000)
    found = PointNoise.measured(errors, 4)
    assert (_covariance(found) - _covariance(noise)).abs().max() < 0.25
    assert ((found.own - noise.own) / noise.own).abs().max() < 0.1
    assert torch.equal(found.factors, PointNoise.measured(errors, 4).factors)


def test_few_faces_give_a_noise_that_leaves_every_value_some_of_its_own() -> None:
    _, errors = _drawn(12)
    found = PointNoise.measured(errors, 10)
    assert bool((found.own > 0.015 * errors.square().mean(0)).all())
    assert torch.isfinite(_covariance(found)).all()


def _inverse(noise: PointNoise, deviation: torch.Tensor) -> torch.Tensor:
    """By products of the columns of the identity."""
    precision = Precision(noise, torch.device("cpu"))
    weighted = torch.diag(precision.weight(deviation[None])[0].flatten())[None]
    common = precision.common(weighted)
    return (weighted.mT @ weighted - common.mT @ common)[0].double()


def test_products_are_by_the_inverse_covariance_whatever_the_deviations() -> None:
    noise, _ = _drawn(1)
    deviation = 0.5 + torch.rand(15, generator=torch.Generator().manual_seed(1))
    spread = torch.diag(deviation.repeat_interleave(2)).double()
    product = _inverse(noise, deviation) @ spread @ _covariance(noise) @ spread
    torch.testing.assert_close(product, torch.eye(30, dtype=torch.float64), atol=1e-4, rtol=0)


def test_any_covariance_is_told_exactly() -> None:
    covariance = FaceModel.default().landmark_noise.double()
    noise = PointNoise.of_covariance(covariance)
    torch.testing.assert_close(_covariance(noise), covariance)
    torch.testing.assert_close(noise.variance, covariance.diagonal().view(-1, 2).mean(1))
    product = _inverse(noise, torch.ones(68)) @ covariance
    torch.testing.assert_close(product, torch.eye(136, dtype=torch.float64), atol=5e-3, rtol=0)
