"""Fit the face model to 68 landmarks: pose, shape and expression by batched Gauss-Newton.

The estimate is the most likely one under what is known of the face and the landmarks' noise (maximum a posteriori):
minimise (q - p)^T C^-1 (q - p) / s^2 + (a - e)^T D^-1 (a - e), where q are the landmarks of the model seen through a
scaled orthographic camera, p the given ones, and C the covariance of the predictor's errors, measured on pictures of
known heads; a are the coefficients of shape and expression, e what is expected of them and D the covariance of that:
0 and the identity, the model's own prior, unless something has looked at the face. Landmarks of one picture can be
better or worse than usual: s is estimated from what the fit cannot explain (MacKay, Bayesian Interpolation, 1992).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import LandmarkModel
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation, rotation_from_angles

RIGID_STEPS, FULL_STEPS, REFINING_STEPS = 3, 6, 4
DAMPING = 1e-3

LEAST_TRUST, MOST_TRUST = 1.5, 0.2
"""Limits of the factor by which a face's landmarks may be noisier or cleaner than the model's landmark noise."""

KNOWN = 1e-4
"""Variance of a coefficient that is known: a hundredth of a standard deviation, squared."""


@dataclass(frozen=True)
class Fit:
    """Fitted faces.

    camera      scaled orthographic cameras, in the pixels of the landmarks
    shape       (B, S) standard deviations
    expression  (B, E) standard deviations
    error       (B,) mean distance of the projected landmarks to the given ones over the landmarks' box size
    noise       (B,) how much noisier the landmarks are than usual, as far as no face explains them; 1 is usual
    landmarks   (B, 68, 3) projected landmarks, pixels
    """

    camera: Camera
    shape: Tensor
    expression: Tensor
    error: Tensor
    noise: Tensor
    landmarks: Tensor


def box_size(landmarks: Tensor) -> Tensor:
    """(B,) square root of the area of the landmarks' bounding box; landmarks (B, 68, 2 or more)."""
    extent = landmarks[..., :2].amax(-2) - landmarks[..., :2].amin(-2)
    return extent.prod(-1).sqrt()


def with_known_shape(coefficient_noise: Tensor, shape_size: int) -> Tensor:
    """Covariance (S + E, S + E) of expected coefficients whose shape is known, from one where it is not."""
    known = coefficient_noise.clone()
    known[:shape_size], known[:, :shape_size] = 0.0, 0.0
    known.diagonal()[:shape_size] = KNOWN
    return known


class LandmarkFitter:
    """Fits one face model to batches of landmarks.

    Parameters
    ----------
    model : the face model; fits run on its device
    landmark_noise : (136, 136) covariance of the landmarks' errors, in squared shares of their box size; without it
        that of dlib's predictor, which the model has
    coefficient_noise : (S + E, S + E) covariance of the errors of the coefficients that are expected; without it that
        of the model, which expects 0
    """

    def __init__(
        self, model: FaceModel, landmark_noise: Tensor | None = None, coefficient_noise: Tensor | None = None
    ) -> None:
        self._model = LandmarkModel.of(model)
        self._shape_size = model.shape_size
        self._range = model.expression_range.tolist()
        noise = model.landmark_noise if landmark_noise is None else landmark_noise
        self._whitening = torch.linalg.inv(torch.linalg.cholesky(noise.double())).float()
        if coefficient_noise is None:
            coefficient_noise = torch.eye(len(self._model.basis), device=noise.device)
        self._prior = torch.linalg.inv(coefficient_noise.double()).float()

    @torch.no_grad()
    def __call__(self, landmarks: Tensor, start: Camera | None = None, expected: Tensor | None = None) -> Fit:
        """Fit.

        Parameters
        ----------
        landmarks : (B, 68, 2) pixels, y down, in dlib's order
        start : cameras to begin with, where they are known roughly
        expected : (B, S + E) coefficients that are expected, standard deviations; without them 0

        Returns
        -------
        Fit of B faces

        Raises
        ------
        ValueError
            when the landmarks of a face are not finite or all in one place
        """
        size = box_size(landmarks)
        if not bool((size.isfinite() & (size > 0.0)).all()):
            raise ValueError("landmarks are not finite, or all in one place")
        noise = torch.ones_like(size)
        if expected is None:
            expected = landmarks.new_zeros(len(landmarks), len(self._model.basis))
        state = self._initial(landmarks, expected) if start is None else _started(start, expected)
        for step in range(RIGID_STEPS + FULL_STEPS + REFINING_STEPS):
            refining = step >= RIGID_STEPS + FULL_STEPS
            state, estimate = self._gauss_newton(state, landmarks, expected, size, noise, rigid=step < RIGID_STEPS)
            noise = estimate.clamp(MOST_TRUST, LEAST_TRUST) if refining else noise
        angles = angles_from_rotation(state.rotation)
        camera = Camera(angles, state.scale, state.translation)
        projected = camera.project(self._chosen(state)[0])
        error = (projected[..., :2] - landmarks).norm(dim=-1).mean(-1) / size
        shape, expression = state.coefficients.split([self._shape_size, self._expression_size], dim=1)
        return Fit(camera, shape, expression, error, estimate, projected)

    @property
    def _expression_size(self) -> int:
        return len(self._model.basis) - self._shape_size

    def _initial(self, landmarks: Tensor, coefficients: Tensor) -> "_State":
        """A face under the affine camera that explains the landmarks best, made orthogonal."""
        count, device = len(landmarks), landmarks.device
        points = self._model.points(coefficients)
        front = self._model.choose(points, torch.zeros(count, 3, device=device))
        x = points.gather(1, front[..., None].expand(-1, -1, 3))
        x_mean, p_mean = x.mean(1, keepdim=True), landmarks.mean(1, keepdim=True)
        centred = x - x_mean
        # Normal equations: torch.linalg.lstsq rounds differently from call to call.
        affine = torch.linalg.solve(centred.mT @ centred, centred.mT @ (landmarks - p_mean)).mT
        rows = affine * affine.new_tensor(MODEL_TO_IMAGE_AXES[:2])[:, None]
        scale = rows.norm(dim=-1).mean(-1)
        first = functional.normalize(rows[:, 0], dim=-1)
        second = functional.normalize(rows[:, 1] - (first * rows[:, 1]).sum(-1, keepdim=True) * first, dim=-1)
        rotation = torch.stack([first, second, torch.linalg.cross(first, second)], 1)
        axes = rotation.new_tensor(MODEL_TO_IMAGE_AXES)
        offset = p_mean[:, 0] - ((x_mean @ rotation.mT) * axes)[:, 0, :2] * scale[:, None]
        return _State(rotation, scale, offset, coefficients)

    def _chosen(self, state: "_State") -> tuple[Tensor, Tensor]:
        """The 68 landmark points (B, 68, 3) in metres and their indices (B, 68) among the candidates."""
        points = self._model.points(state.coefficients)
        chosen = self._model.choose(points, angles_from_rotation(state.rotation))
        return points.gather(1, chosen[..., None].expand(-1, -1, 3)), chosen

    def _gauss_newton(
        self, state: "_State", landmarks: Tensor, expected: Tensor, size: Tensor, noise: Tensor, rigid: bool
    ) -> tuple["_State", Tensor]:
        """The next state, and the landmarks' noise as the present state explains it, both for each face."""
        x, chosen = self._chosen(state)
        count = len(x)
        axes = x.new_tensor(MODEL_TO_IMAGE_AXES)
        project = state.scale[:, None, None] * axes[:, None] * state.rotation
        turned = x @ state.rotation.mT
        seen = (turned * axes * state.scale[:, None, None])[..., :2]
        residual = landmarks - seen - state.translation[:, None]
        zero = torch.zeros_like(turned[..., 0])
        spin_x = torch.stack([zero, turned[..., 2], -turned[..., 1]], -1) * axes[0]
        spin_y = torch.stack([-turned[..., 2], zero, turned[..., 0]], -1) * axes[1]
        spin = torch.stack([spin_x, spin_y], 2) * state.scale[:, None, None, None]
        unit = torch.eye(2, device=x.device).expand(count, 68, 2, 2) * size[:, None, None, None]
        columns = [spin, seen[..., None], unit]
        if not rigid:
            basis = self._model.basis[:, chosen].permute(1, 2, 3, 0)
            columns.append(project[:, None, :2] @ basis)
        whitening = self._whitening / (size * noise)[:, None, None]
        jacobian = whitening @ torch.cat(columns, -1).flatten(1, 2)
        white = (whitening @ residual.flatten(1)[..., None])[..., 0]
        explained = normal = jacobian.mT @ jacobian
        gradient = (jacobian.mT @ white[..., None])[..., 0]
        if not rigid:
            normal = normal + functional.pad(self._prior, (6, 0, 6, 0))
            gradient[:, 6:] += (expected - state.coefficients) @ self._prior
        normal = normal + DAMPING * torch.diag_embed(normal.diagonal(dim1=1, dim2=2))
        solved = torch.linalg.solve(normal, torch.cat([gradient[..., None], explained], -1))
        freedom = 136 - solved[..., 1:].diagonal(dim1=1, dim2=2).sum(-1)
        estimate = noise * (white.square().sum(-1) / freedom).sqrt()
        return self._updated(state, solved[..., 0], size), estimate

    def _updated(self, state: "_State", update: Tensor, size: Tensor) -> "_State":
        rotation = torch.linalg.matrix_exp(_skew(update[:, :3])) @ state.rotation
        scale = state.scale * update[:, 3].clamp(-0.5, 0.5).exp()
        translation = state.translation + update[:, 4:6] * size[:, None]
        coefficients = state.coefficients
        if update.shape[1] > 6:
            coefficients = coefficients + update[:, 6:]
            expression = coefficients[:, self._shape_size :].clamp(*self._range)
            coefficients = torch.cat([coefficients[:, : self._shape_size], expression], 1)
        return _State(rotation, scale, translation, coefficients)


@dataclass(frozen=True)
class _State:
    rotation: Tensor
    scale: Tensor
    translation: Tensor
    coefficients: Tensor


def _started(camera: Camera, coefficients: Tensor) -> _State:
    """Faces under cameras."""
    return _State(rotation_from_angles(camera.angles), camera.scale, camera.translation, coefficients)


def _skew(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack([zero, -z, y], -1), torch.stack([z, zero, -x], -1), torch.stack([-y, x, zero], -1)]
    return torch.stack(rows, -2)
