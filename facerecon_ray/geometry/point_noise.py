"""What is known of the errors of points that something finds in pictures, and how to make them alike.

Errors of points that lie near each other on a face are alike, and over the face they share a few patterns: a network
that sees a mouth too low sees all of it too low. A few common factors and an own variance for each value tell that of
hundreds of points (factor analysis: Bishop, Pattern Recognition and Machine Learning, 2006, section 12.2.4).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ROUNDS = 60
"""Of expectation and maximisation, after which the factors hardly change."""

LEAST_OWN = 0.02
"""Share of a value's variance that is at least its own: few faces would seem to say that one value tells another."""


@dataclass(frozen=True)
class PointNoise:
    """Covariance of the errors of P points, F F^T + diag(o), of faces for which each point's deviation is 1.

    factors   (2 P, R) float64 F, x before y for each point
    own       (2 P,) float64 o, above 0
    """

    factors: Tensor
    own: Tensor

    @staticmethod
    def of_covariance(covariance: Tensor) -> "PointNoise":
        """Any covariance (2 P, 2 P), by as many factors as it has rows."""
        values, vectors = torch.linalg.eigh(covariance.double())
        least = values[0]
        return PointNoise(vectors * (values - least).clamp(min=0.0).sqrt(), least.expand(len(values)).clone())

    @staticmethod
    def measured(errors: Tensor, rank: int) -> "PointNoise":
        """The most likely noise behind errors (Rubin and Thayer, EM algorithms for ML factor analysis, 1982).

        Parameters
        ----------
        errors : (N, 2 P) errors over their deviations; what is systematic in them counts as noise
        rank : R
        """
        errors = errors.double() / len(errors) ** 0.5
        if len(errors) > errors.shape[1]:
            errors = torch.linalg.qr(errors, mode="r").R
        total = errors.square().sum(0).clamp(min=torch.finfo(torch.float64).tiny)
        own = 0.5 * total
        for _ in range(ROUNDS):
            spread = own.sqrt()
            scaled = errors / spread
            values, left = (part.flip(-1)[..., :rank] for part in torch.linalg.eigh(scaled @ scaled.T))
            weights = (1.0 - 1.0 / values.clamp(min=1.0)).sqrt()
            found = spread[:, None] * (scaled.T @ left) * weights
            own = torch.maximum(total - found.square().sum(1), LEAST_OWN * total)
        factors = functional.pad(found, (0, rank - found.shape[1]))
        return PointNoise(factors, own)

    @property
    def points(self) -> int:
        """P."""
        return len(self.own) // 2

    @property
    def variance(self) -> Tensor:
        """(P,) of each point's error, the mean of x and y."""
        return (self.factors.square().sum(1) + self.own).view(-1, 2).mean(1)


def _unit(rank: int) -> Tensor:
    return torch.eye(rank, dtype=torch.float64)


class Precision:
    """Products of errors, or of what they change with, by the inverse of their covariance.

    With G = diag(o)^-1/2 F = U S V^T the inverse is diag(o)^-1/2 (I - U S^2 / (1 + S^2) U^T) diag(o)^-1/2 (Woodbury's
    identity): products with R columns instead of one with 2 P.

    Parameters
    ----------
    noise : of the errors
    device : on which it works
    """

    def __init__(self, noise: PointNoise, device: torch.device) -> None:
        spread = noise.own.sqrt()
        left, singular, _ = torch.linalg.svd(noise.factors / spread[:, None], full_matrices=False)
        common = singular / (1.0 + singular.square()).sqrt()
        self.points = noise.points
        self._weight = (1.0 / spread).float().to(device).view(-1, 2)
        self._patterns = (left * common).T.contiguous().float().to(device)

    def weight(self, deviation: Tensor) -> Tensor:
        """(B, P, 2) by which errors of points with standard deviations (B, P) are multiplied first."""
        return self._weight / deviation[..., None]

    def common(self, weighted: Tensor) -> Tensor:
        """(B, R, C) what weighted columns (B, 2 P, C) have of the common factors, which tells the less.

        The product of two is that of their weighted columns less that of these.
        """
        return self._patterns @ weighted
