"""The shape of a person from several photos: what each of them tells is added up; what was known before counts once.

A photo's fit is the most likely shape m under what the photo tells and under the prior, which is normal with mean 0
and precision I in standard deviations. Near m, what the photo alone tells is normal too, with an information matrix L
and a mean z (Lehmann and Casella, Theory of Point Estimation, 1998): the fit is shrunk towards 0,

    (I + L) m = L z.

Photos i are independent of each other once the person is known, so their likelihoods multiply and the prior comes in
once:

    (I + sum L_i) m = sum L_i z_i = sum (I + L_i) m_i.

For one photo that is its own fit; a mean of fits weighted by their precisions I + L_i would count the prior as often
as there are photos and shrink the person to the average face. Sums have no order, so evidence of any number of photos
may be added up in any grouping.

L comes from the fitted face: how its landmarks move in the picture with the shape, as far as no motion of the head, no
other size of it and no expression explains the same (the Schur complement of these). A front tells little of the
profile's depth, and a profile little of the face's width; the matrices say so, coefficient by coefficient.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import LEAST_TRUST, MOST_TRUST, Fit, box_size
from facerecon_ray.geometry.landmarks import LandmarkModel

LANDMARK_ERROR = 0.025
"""Standard deviation of a landmark of usual noise, share of the landmarks' box size: with it, shapes of synthetic
people are as far from the truth as their evidence says. Half or twice of it changes the result by a hundredth."""

STEP = 0.05
"""Standard deviations, and of motions radians, tenths of metres and shares, over which derivatives are differences."""

PICTURE_INFORMATION = 0.5
"""What a picture tells a network of every coefficient beside the places of its landmarks: with 0.3 to 1 several photos
of synthetic people come closest (benchmarks/people.py)."""

LEAST_INFORMATION = 1e-6
"""Of motions that no picture shows, as one along the line of sight through a camera without perspective."""


@dataclass(frozen=True)
class ShapeEvidence:
    """What photos tell of shapes.

    information  (..., S, S) L, one over squared standard deviations
    weighted     (..., S) L z
    """

    information: Tensor
    weighted: Tensor

    @staticmethod
    def of(model: FaceModel, fit: Fit, by_network: bool = False) -> "ShapeEvidence":
        """What each of B photos tells of its face, by its fit.

        Parameters
        ----------
        model : the face model
        fit : of the faces
        by_network : whether a network has looked at the picture, and not at its landmarks alone
        """
        information = _information(model, fit)
        if by_network:
            information.diagonal(dim1=1, dim2=2).add_(PICTURE_INFORMATION)
        return ShapeEvidence(information, fit.shape.double() + _times(information, fit.shape.double()))

    @staticmethod
    def stored(shape: np.ndarray, information: np.ndarray) -> "ShapeEvidence":
        """The evidence of fits that were stored: shapes (B, S), and (B, S (S + 1) / 2) as `packed` gives it.

        The shape of each alone is exactly the stored one: that a matrix was rounded only changes the photo's weight
        among others a little.
        """
        matrices, fitted = unpacked(information), torch.from_numpy(shape).double()
        return ShapeEvidence(matrices, fitted + _times(matrices, fitted))

    def __add__(self, other: "ShapeEvidence") -> "ShapeEvidence":
        """Evidence of other photos of the same persons, row by row."""
        return ShapeEvidence(self.information + other.information, self.weighted + other.weighted)

    def by_person(self, person: Tensor) -> "ShapeEvidence":
        """The evidence of all photos of each person.

        Parameters
        ----------
        person : (B,) int64, the number of each photo's person, from 0; every number up to the largest comes
        """
        information = self.information.new_zeros(int(person.max()) + 1, *self.information.shape[1:])
        weighted = self.weighted.new_zeros(len(information), self.weighted.shape[1])
        return ShapeEvidence(
            information.index_add(0, person, self.information), weighted.index_add(0, person, self.weighted)
        )

    @property
    def shape(self) -> Tensor:
        """(..., S) float32 the most likely shapes, standard deviations."""
        return torch.linalg.solve(self._precision, self.weighted).float()

    @property
    def covariance(self) -> Tensor:
        """(..., S, S) of what is left open, squared standard deviations."""
        return torch.linalg.inv(self._precision)

    @property
    def _precision(self) -> Tensor:
        size = self.weighted.shape[-1]
        return torch.eye(size, dtype=self.weighted.dtype, device=self.weighted.device) + self.information


def packed(information: Tensor) -> Tensor:
    """(B, S (S + 1) / 2) float16 triangles C by rows, of matrices (B, S, S) = C C^T.

    Of the matrix itself half precision would leave none that is positive: its small eigenvalues are below the
    rounding of its large ones.
    """
    size = information.shape[-1]
    least = LEAST_INFORMATION * torch.eye(size, dtype=torch.float64, device=information.device)
    factor = torch.linalg.cholesky(information.double() + least)
    rows, columns = torch.tril_indices(size, size)
    return factor[:, rows, columns].half()


def unpacked(triangles: np.ndarray) -> Tensor:
    """(B, S, S) float64 information matrices from what `packed` gave."""
    size = (int((8 * triangles.shape[1] + 1) ** 0.5) - 1) // 2
    rows, columns = torch.tril_indices(size, size)
    factor = torch.zeros(len(triangles), size, size, dtype=torch.float64)
    factor[:, rows, columns] = torch.from_numpy(np.asarray(triangles, np.float64))
    return factor @ factor.mT


def _information(model: FaceModel, fit: Fit) -> Tensor:
    """(B, S, S) float64, of shape, whatever the pose and the expression."""
    landmarks = LandmarkModel.of(model)
    coefficients = torch.cat([fit.shape, fit.expression], 1)
    points = landmarks.points(coefficients)
    chosen = landmarks.choose(points, fit.camera.angles)
    faces = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    directions = torch.cat([landmarks.basis[:, chosen].transpose(0, 1), _motions(faces)], 1)
    ahead, behind = (fit.camera.project((faces[:, None] + step * directions).flatten(1, 2)) for step in (STEP, -STEP))
    moved = (ahead - behind)[..., :2].unflatten(1, directions.shape[1:3]).flatten(2).double() / (2 * STEP)
    noise = LANDMARK_ERROR * fit.noise.clamp(MOST_TRUST, LEAST_TRUST)
    jacobian = moved / (noise * box_size(fit.landmarks))[:, None, None]
    told = jacobian @ jacobian.mT
    size, expressions = model.shape_size, model.expression_size
    known = torch.full((told.shape[-1] - size,), LEAST_INFORMATION, dtype=told.dtype, device=told.device)
    known[:expressions] += 1.0
    others = told[:, size:, size:] + torch.diag(known)
    both = told[:, size:, :size]
    return told[:, :size, :size] - both.mT @ torch.linalg.solve(others, both)


def _motions(faces: Tensor) -> Tensor:
    """(B, 7, 68, 3) how points of faces (B, 68, 3) move with a rotation, a translation and growth of the head."""
    unit = torch.eye(3, device=faces.device)
    spins = [torch.linalg.cross(axis.expand_as(faces), faces, dim=-1) for axis in unit]
    shifts = [0.1 * axis.expand_as(faces) for axis in unit]
    return torch.stack([*spins, *shifts, faces], 1)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[..., None])[..., 0]
