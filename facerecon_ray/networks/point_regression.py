"""Coefficients of a face from its points, by a linear regression that changes with the head's pose.

Where a face's points lie tells its shape by a few pixels, and its pose by many: first what the pose alone makes of the
points is taken away, then their patterns count in units of how far each goes. It is solved, not learnt by steps
(ridge regression: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2009, section 3.4): steps of
gradient descent would find the directions that move much, and shapes are told by those that move little.
"""

import torch
from torch import Tensor, nn

PATTERNS = 320
"""Of the points of different faces, those that go farthest."""

TERMS = 13
"""Functions of the pose, each of which has its own regression."""

RIDGE = 0.01
"""Added to the variance of each term of the regression, of which 1 is usual."""

LEAST_VARIANCE = 1e-6
"""Share of all that points vary, which each pattern goes at least: with few faces it may go nowhere."""

POINT_SCALE = 4.0
"""By which points, in shares of their spread, are multiplied: faces differ by a small part of it."""

MOST = 6.0
"""Usual distances, and standard deviations, beyond which a pattern and a coefficient are taken as so much: what is no
face can have any points."""

_ROWS_AT_ONCE = 2048


class PointRegression(nn.Module):
    """The regression; the mean face until it is solved.

    Parameters
    ----------
    points : P
    coefficients : C

    middle      (13, 2 P) what each function of the pose adds to the arrangement of the points
    patterns    (320, 2 P) how it varies besides, orthonormal directions over how far each goes
    weights     (13 * 321, C) of functions of the pose times 1 and the patterns
    """

    middle: Tensor
    patterns: Tensor
    weights: Tensor

    def __init__(self, points: int, coefficients: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(TERMS, 2 * points))
        self.register_buffer("patterns", torch.zeros(PATTERNS, 2 * points))
        self.register_buffer("weights", torch.zeros(TERMS * (1 + PATTERNS), coefficients))

    def forward(self, points: Tensor, rotation: Tensor) -> Tensor:
        """(B, C) coefficients from points (B, P, 2) in a picture and the head's rotation (B, 3, 3)."""
        coefficients: Tensor = self._features(points, rotation) @ self.weights
        return coefficients.clamp(-MOST, MOST)

    @torch.no_grad()
    def solve(self, points: Tensor, rotation: Tensor, coefficients: Tensor) -> None:
        """Find the regression that makes coefficients (N, C) of points (N, P, 2) and rotations (N, 3, 3)."""
        terms, arranged = _terms(rotation).double(), _arrangement(points).double()
        small = RIDGE * len(terms) * torch.eye(TERMS, dtype=torch.float64, device=terms.device)
        middle = torch.linalg.solve(terms.T @ terms + small, terms.T @ arranged)
        rest = arranged - terms @ middle
        variances, directions = torch.linalg.eigh(rest.T @ rest / len(rest))
        # As many as there may be: eigenvalues come from the smallest to the largest.
        variances, directions = variances.flip(0)[:PATTERNS], directions.flip(1)[:, :PATTERNS]
        least = LEAST_VARIANCE * rest.square().sum(1).mean()
        self.middle.copy_(middle)
        self.patterns.zero_()[: len(variances)] = (directions / variances.clamp(min=least).sqrt()).T
        products = torch.zeros(2 * (len(self.weights),), dtype=torch.float64, device=terms.device)
        answers = torch.zeros(self.weights.shape, dtype=torch.float64, device=terms.device)
        for first in range(0, len(points), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            features = self._features(points[rows], rotation[rows])
            products += features.T @ features
            answers += features.T @ coefficients[rows]
        products.diagonal().add_(RIDGE * len(points))
        self.weights.copy_(torch.cholesky_solve(answers, torch.linalg.cholesky(products)))

    def _features(self, points: Tensor, rotation: Tensor) -> Tensor:
        """(B, 13 * 321) functions of the pose times 1 and the patterns."""
        terms = _terms(rotation)
        found = ((_arrangement(points) - terms @ self.middle) @ self.patterns.T).clamp(-MOST, MOST)
        return (terms[:, :, None] * torch.nn.functional.pad(found, (1, 0), value=1.0)[:, None]).flatten(1)


def _terms(rotation: Tensor) -> Tensor:
    """(B, 13) functions of the pose: of yaw the first waves, of pitch its sine, alone and with the yaw's first."""
    yaw = torch.nn.functional.normalize(torch.stack([rotation[:, 2, 2], rotation[:, 0, 2]], -1), dim=-1)
    cosine, sine = yaw.unbind(-1)
    waves = [(cosine, sine)]
    for _ in range(3):
        waves.append((waves[-1][0] * cosine - waves[-1][1] * sine, waves[-1][0] * sine + waves[-1][1] * cosine))
    one, pitch = torch.ones_like(cosine), rotation[:, 1, 2]
    of_yaw = [part for wave in waves for part in wave]
    return torch.stack([one, *of_yaw, pitch, pitch * cosine, pitch * sine, pitch * pitch], 1)


def _arrangement(points: Tensor) -> Tensor:
    """(B, 2 P) points (B, P, 2) about their middle, in shares of their spread."""
    centred = points - points.mean(1, keepdim=True)
    spread = centred.square().sum(-1).mean(-1).sqrt().clamp(min=1.0)
    return POINT_SCALE * (centred / spread[:, None, None]).flatten(1)
