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

MOST_SPREADS = 2.25
"""Standard deviations of a disagreement (a chi-squared number over its k directions: the root of 2 / k) by which it
may be more than the 1 that is expected. Of 460 photos of 92 synthetic people 1 is left out among others of theirs, of
92 strangers' photos 89 (benchmarks/people.py)."""


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
    views = [_View.of(*photo) for photo in zip(evidence.information, evidence.weighted, strict=True)]
    disagreement, excess = _disagreements(evidence, views, used)
    while int(used.sum()) > 1:
        worst = int(torch.where(used, excess, -torch.inf).argmax())
        if excess[worst] <= MOST_SPREADS:
            break
        if int(used.sum()) == 2:
            worst = int(torch.where(used, trust.double(), torch.inf).argmin())
        used[worst] = False
        disagreement, excess = _disagreements(evidence, views, used)
    merged = _sum(evidence, used)
    return MergedShape(merged.shape, merged.covariance, used, disagreement)


def _sum(evidence: ShapeEvidence, used: Tensor) -> ShapeEvidence:
    return ShapeEvidence(evidence.information[used].sum(0), evidence.weighted[used].sum(0))


@dataclass(frozen=True)
class _View:
    """What one photo tells in the K directions of which it tells enough.

    directions  (S, K) unit vectors
    told        (K,) information
    place       (K,) z
    """

    directions: Tensor
    told: Tensor
    place: Tensor

    @staticmethod
    def of(information: Tensor, weighted: Tensor) -> "_View":
        told, directions = torch.linalg.eigh(information)
        enough = told >= TOLD
        directions, told = directions[:, enough], told[enough]
        return _View(directions, told, directions.mT @ weighted / told)


def _disagreements(evidence: ShapeEvidence, views: list[_View], used: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) of each photo with those that are used, without itself, and by how many spreads that is more than 1."""
    total, merged = _sum(evidence, used), int(used.sum())
    found, excess = torch.zeros(2, len(used), dtype=torch.float64)
    for number, view in enumerate(views):
        count = len(view.told)
        others = total
        if used[number]:
            others = ShapeEvidence(
                total.information - evidence.information[number], total.weighted - evidence.weighted[number]
            )
        if not count or merged == int(used[number]):
            continue
        apart = view.place - view.directions.mT @ others.shape.double()
        spread = torch.diag(1 / view.told) + view.directions.mT @ others.covariance @ view.directions
        found[number] = apart @ torch.linalg.solve(spread, apart) / count
        excess[number] = (found[number] - 1) / (2 / count) ** 0.5
    return found, excess
