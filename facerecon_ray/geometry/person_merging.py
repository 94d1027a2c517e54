"""One shape from several photos of a person, of which some may show somebody else.

Every photo is held against all others together (leave-one-out): what it alone tells, z with the information L, should
lie beside the others' shape m by no more than both leave open,

    z - m ~ N(0, L^-1 + P),    P the covariance of what the others leave open,

in those directions of which the photo tells more than was known of people before. The squared length of that
difference, in such standard deviations and for each direction, is the photo's disagreement. The photo that disagrees
most is left out while it disagrees too much, and the others are held against each other again.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facerecon_ray.geometry.shape_of_person import ShapeEvidence

TOLD = 1.0
"""Information from which on a photo tells of a direction more than the prior does."""

MOST_SPREADS = 2.0
"""Standard deviations of a disagreement (a chi-squared number over its k directions: the root of 2 / k) by which it
may be more than the 1 that is expected. No photo of 33 synthetic people reaches that among others of theirs, half of
strangers' photos do (benchmarks/people.py)."""


@dataclass(frozen=True)
class MergedShape:
    """The shape of a person, of S coefficients, from N photos.

    shape         (S,) float32 standard deviations
    covariance    (S, S) float64 of what is left open, squared standard deviations
    used          (N,) bool, the photos that were merged
    disagreement  (N,) float64 of each photo with the others that were merged, about 1 where it shows the same person;
                  0 where it tells nothing, or there are no others
    """

    shape: Tensor
    covariance: Tensor
    used: Tensor
    disagreement: Tensor


def merge_photos(evidence: ShapeEvidence, trust: Tensor) -> MergedShape:
    """Merge what photos of a person tell, but for those that disagree with the others.

    Parameters
    ----------
    evidence : of N photos
    trust : (N,) how far each is to be trusted: of two photos that disagree the one that is trusted more is kept
    """
    count = len(trust)
    used = torch.ones(count, dtype=torch.bool)
    disagreement, excess = _disagreements(evidence, used)
    while int(used.sum()) > 1:
        worst = int(torch.where(used, excess, -torch.inf).argmax())
        if excess[worst] <= MOST_SPREADS:
            break
        if int(used.sum()) == 2:
            worst = int(torch.where(used, trust.double(), torch.inf).argmin())
        used[worst] = False
        disagreement, excess = _disagreements(evidence, used)
    merged = _sum(evidence, used)
    return MergedShape(merged.shape, merged.covariance, used, disagreement)


def _sum(evidence: ShapeEvidence, used: Tensor) -> ShapeEvidence:
    return ShapeEvidence(evidence.information[used].sum(0), evidence.weighted[used].sum(0))


def _disagreements(evidence: ShapeEvidence, used: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) of each photo with those that are used, without itself, and by how many spreads that is more than 1."""
    total = _sum(evidence, used)
    found, excess = torch.zeros(2, len(used), dtype=torch.float64)
    for number in range(len(used)):
        own = ShapeEvidence(evidence.information[number], evidence.weighted[number])
        others = total
        if used[number]:
            if int(used.sum()) == 1:
                continue
            others = ShapeEvidence(total.information - own.information, total.weighted - own.weighted)
        told, directions = torch.linalg.eigh(own.information)
        directions = directions[:, told >= TOLD]
        told = told[told >= TOLD]
        if not len(told):
            continue
        apart = (directions.mT @ own.weighted) / told - directions.mT @ others.shape.double()
        spread = torch.diag(1 / told) + directions.mT @ others.covariance @ directions
        found[number] = apart @ torch.linalg.solve(spread, apart) / len(told)
        excess[number] = (found[number] - 1) / (2 / len(told)) ** 0.5
    return found, excess
