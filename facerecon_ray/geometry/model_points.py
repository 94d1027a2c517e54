"""Points of a face model on their way to a picture: those of the jaw follow the pose, the others stay the same."""

import torch
from torch import Tensor

from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS
from facerecon_ray.geometry.landmarks import LandmarkModel


class ModelPoints:
    """The P points, and how they move with the coefficients.

    Parameters
    ----------
    model : whose points
    """

    def __init__(self, model: LandmarkModel) -> None:
        self._model = model
        count = len(model.mean)
        self._fixed = model.choose(model.mean[None], torch.zeros(1, 3, device=model.mean.device))[0]
        self._jaw_basis = model.basis.permute(1, 2, 0).contiguous()
        self._basis = self._jaw_basis[self._fixed[CONTOUR_LANDMARKS:]]
        self._flat = model.basis.reshape(-1, 3 * count)

    def chosen(self, coefficients: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        """Points (B, P, 3) in metres at a pose, and which of the candidates (B, P) they are."""
        candidates = self._candidates(coefficients)
        paths = self._model.choose(candidates, angles)
        return _gathered(candidates, paths), paths

    def at(self, coefficients: Tensor, paths: Tensor) -> Tensor:
        """(B, P, 3) the same points for other coefficients."""
        return _gathered(self._candidates(coefficients), paths)

    def move(self, by_point: Tensor, paths: Tensor, out: Tensor) -> None:
        """Write how points move with the coefficients, (B, P, 2, K), where those by their places are (B, P, 2, 3)."""
        jaw = self._jaw_basis[paths[:, :CONTOUR_LANDMARKS]]
        out[:, :CONTOUR_LANDMARKS] = by_point[:, :CONTOUR_LANDMARKS] @ jaw
        out[:, CONTOUR_LANDMARKS:] = torch.einsum("bpij,pjk->bpik", by_point[:, CONTOUR_LANDMARKS:], self._basis)

    def _candidates(self, coefficients: Tensor) -> Tensor:
        return self._model.mean + (coefficients @ self._flat).view(len(coefficients), -1, 3)


def _gathered(candidates: Tensor, paths: Tensor) -> Tensor:
    return candidates.gather(1, paths[..., None].expand(-1, -1, 3))
