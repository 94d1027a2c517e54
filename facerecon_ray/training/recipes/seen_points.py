"""What a fitter finds in faces whose truth is known, and what is solved and measured by it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import LANDMARKS
from facerecon_ray.geometry.point_noise import PointNoise
from facerecon_ray.networks.fitter import NOISE_RANK, FitterNetwork

INDEPENDENT = 0.05
"""Share of the noise that is taken as independent from number to number."""


@dataclass(frozen=True)
class SeenPoints:
    """What a network finds in B crops, and what is true of them; crop pixels.

    points        (B, T, 2) where it finds the points from which coefficients follow
    deviation     (B, T) that it says they have
    truth         (B, T, 2) where the points are
    rotation      (B, 3, 3) that it says the head has
    coefficients  (B, S + E) of shape and expression, the true ones
    """

    points: Tensor
    deviation: Tensor
    truth: Tensor
    rotation: Tensor
    coefficients: Tensor


@torch.no_grad()
def solve_coefficients(fitter: FitterNetwork, seen: Sequence[SeenPoints], mirror: Tensor) -> None:
    """Solve the regression of coefficients from points; each face counts once more, mirrored.

    Parameters
    ----------
    fitter : whose regression it is
    seen : by what
    mirror : (S + E, S + E) turns coefficients into those of mirrored faces
    """
    flip = torch.tensor([-1.0, 1.0, 1.0], device=mirror.device)
    points = torch.cat([rows.points for rows in seen])
    rotation = torch.cat([rows.rotation for rows in seen])
    coefficients = torch.cat([rows.coefficients for rows in seen])
    fitter.coefficients.solve(
        torch.cat([points, points[:, fitter.mirrored] * flip[:2]]),
        torch.cat([rotation, flip[:, None] * rotation * flip]),
        torch.cat([coefficients, coefficients @ mirror]),
    )


@torch.no_grad()
def measure_errors(fitter: FitterNetwork, seen: Sequence[SeenPoints]) -> None:
    """Measure how the errors of landmarks and coefficients vary together, about 0: a bias is an error too."""
    marks = torch.cat(
        [((rows.points - rows.truth) / rows.deviation[..., None])[:, :LANDMARKS].flatten(1) for rows in seen]
    )
    errors = torch.cat([fitter.coefficients(rows.points, rows.rotation) - rows.coefficients for rows in seen])
    noise = PointNoise.measured(marks, NOISE_RANK)
    fitter.noise_factors.copy_(noise.factors)
    fitter.noise_own.copy_(noise.own)
    fitter.coefficient_noise.copy_(_covariance(errors))


def _covariance(errors: Tensor) -> Tensor:
    """(N, N) float64 mean product of errors (B, N); few rows leave directions without any, so part is independent."""
    joined = errors.double()
    product = joined.T @ joined / len(joined)
    return (1 - INDEPENDENT) * product + INDEPENDENT * torch.diag(product.diagonal())
