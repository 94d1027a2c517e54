"""Fit the face model to points in a picture: pose, distance, shape and expression by batched Gauss-Newton.

The estimate is the most likely one under what is known of the face, the camera and the points' errors (maximum a
posteriori): minimise (q - p)^T C^-1 (q - p) / s^2 + (a - e)^T D^-1 (a - e), where q are the points of the model seen
by a camera, p the given ones, and C the covariance of their errors, measured on pictures of known heads; a are the
coefficients of shape and expression, e what is expected of them and D the covariance of that: 0 and the identity, the
model's own prior, unless something has looked at the face. With a `Lens`, distance is one unknown more, with terms for
how far people stand from cameras and for the focal length that a photo states. Points of one picture can be better or
worse than usual: s is estimated from what the fit cannot explain (MacKay, Bayesian Interpolation, 1992).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.face_model import LANDMARKS, FaceModel
from facerecon_ray.geometry.fit_state import DISTANCE, POSE, SCALE, FitState, FitView
from facerecon_ray.geometry.landmarks import LandmarkModel
from facerecon_ray.geometry.lens import Lens
from facerecon_ray.geometry.model_points import ModelPoints
from facerecon_ray.geometry.point_noise import PointNoise, Precision
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation

RIGID_STEPS, STARTED_RIGID_STEPS = 3, 1
FULL_STEPS, STARTED_FULL_STEPS = 5, 2
"""Linearisations, of all and of fits that begin with a known camera."""

CHORD_STEPS = 2
"""Steps with each linearisation: what the points are off is worked out anew, how they move is not."""

DAMPING = 1e-3
LENS = torch.tensor([[SCALE], [DISTANCE]])
"""Rows of the unknowns of which a lens tells."""

LEAST_TRUST, MOST_TRUST = 1.5, 0.2
"""Limits of the factor by which a face's points may be noisier or cleaner than usual."""

MODEL_MISS = 0.0012
"""Metres by which a landmark of a person lies beside that of the model that comes closest: what the model cannot say.
So the found landmark counts beside the model's where it is known better than that."""

KNOWN = 1e-4
"""Variance of a coefficient that is known: a hundredth of a standard deviation, squared."""


@dataclass(frozen=True)
class Fit:
    """Fitted faces.

    camera      cameras, in the pixels of the points
    shape       (B, S) standard deviations
    expression  (B, E) standard deviations
    error       (B,) mean distance of the projected landmarks to the given ones over the landmarks' box size
    noise       (B,) how much noisier the points are than usual, as far as no face explains them; 1 is usual
    projected   (B, 68, 3) the model's landmarks, pixels
    landmarks   (B, 68, 3) the model's landmarks moved towards the given ones, each by the share that `MODEL_MISS` has
                in the variance of their distance, pixels
    """

    camera: Camera
    shape: Tensor
    expression: Tensor
    error: Tensor
    noise: Tensor
    projected: Tensor
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
    """Fits one face model to batches of points: the 68 landmarks, and the model's dense ones where the noise has them.

    Parameters
    ----------
    model : the face model; fits run on its device
    noise : of the points' errors, for deviations of 1; without it that of dlib's predictor, which the model has
    coefficient_noise : (S + E, S + E) covariance of the errors of the coefficients that are expected; without it that
        of the model, which expects 0

    Raises
    ------
    ValueError
        when the noise is of another number of points
    """

    def __init__(
        self, model: FaceModel, noise: PointNoise | None = None, coefficient_noise: Tensor | None = None
    ) -> None:
        device = model.mean.device
        noise = noise or PointNoise.of_covariance(model.landmark_noise)
        dense = noise.points > LANDMARKS
        landmarks = LandmarkModel.of(model, dense)
        if noise.points != LANDMARKS + landmarks.dense:
            raise ValueError(
                f"the noise is of {noise.points} points, the face model has {LANDMARKS} landmarks and "
                f"{len(model.dense_landmarks)} dense ones"
            )
        self._points = ModelPoints(landmarks)
        self._size = model.shape_size + model.expression_size
        self._shape_size = model.shape_size
        self._range = model.expression_range.tolist()
        self._precision = Precision(noise, device)
        self._variance = noise.variance[:LANDMARKS].float().to(device)
        if coefficient_noise is None:
            coefficient_noise = torch.eye(self._size, device=device)
        self._prior = torch.linalg.inv(coefficient_noise.double()).float()

    @torch.no_grad()
    def __call__(
        self,
        points: Tensor,
        deviation: Tensor | None = None,
        start: Camera | None = None,
        expected: Tensor | None = None,
        lens: Lens | None = None,
    ) -> Fit:
        """Fit.

        Parameters
        ----------
        points : (B, P, 2) pixels, y down: the 68 landmarks in dlib's order, then the dense ones where the noise has
            them
        deviation : (B, P) standard deviations of the points, pixels; without them, the landmarks' box size, of which
            the model's own noise is a share
        start : cameras to begin with, where they are known roughly
        expected : (B, S + E) coefficients that are expected, standard deviations; without them 0
        lens : what is known of the camera; without it, faces are fitted as from far away

        Returns
        -------
        Fit of B faces

        Raises
        ------
        ValueError
            when the landmarks of a face are not finite or all in one place, or there are too few or too many points
        """
        if points.shape[1] != self._precision.points:
            raise ValueError(f"{points.shape[1]} points are given, the noise is of {self._precision.points}")
        size = box_size(points[:, :LANDMARKS])
        if not bool((size.isfinite() & (size > 0.0)).all()):
            raise ValueError("landmarks are not finite, or all in one place")
        deviation = size[:, None].expand(points.shape[:2]) if deviation is None else deviation
        if expected is None:
            expected = points.new_zeros(len(points), self._size)
        seen = _Seen(points, self._precision.weight(deviation), size, expected, lens)
        state = FitState.of(self._initial(seen) if start is None else start, expected, lens)
        rigid, full = (RIGID_STEPS, FULL_STEPS) if start is None else (STARTED_RIGID_STEPS, STARTED_FULL_STEPS)
        for _ in range(rigid):
            state = self._rigid(state, seen)
        noise = estimate = torch.ones_like(size)
        for _ in range(full):
            state, estimate = self._full(state, seen, noise)
            noise = estimate.clamp(MOST_TRUST, LEAST_TRUST)
        return self._result(state, seen, deviation, estimate)

    def _result(self, state: FitState, seen: "_Seen", deviation: Tensor, noise: Tensor) -> Fit:
        camera = state.camera
        given = seen.points[:, :LANDMARKS]
        chosen, _ = self._points.chosen(state.coefficients, camera.angles)
        projected = camera.project(chosen[:, :LANDMARKS])
        error = (projected[..., :2] - given).norm(dim=-1).mean(-1) / seen.size
        misses = (MODEL_MISS * camera.scale).square()[:, None]
        found = self._variance * (deviation[:, :LANDMARKS] * noise[:, None]).square()
        towards = (misses / (misses + found))[..., None] * (given - projected[..., :2])
        landmarks = projected + functional.pad(towards, (0, 1))
        shape, expression = state.coefficients.tensor_split([self._shape_size], 1)
        return Fit(camera, shape, expression, error, noise, projected, landmarks)

    def _initial(self, seen: "_Seen") -> Camera:
        """The affine cameras that explain the points best, made orthogonal."""
        count, device = len(seen.points), seen.points.device
        x, _ = self._points.chosen(seen.expected, torch.zeros(count, 3, device=device))
        x_mean, p_mean = x.mean(1, keepdim=True), seen.points.mean(1, keepdim=True)
        centred = x - x_mean
        # Normal equations: torch.linalg.lstsq rounds differently from call to call.
        affine = torch.linalg.solve(centred.mT @ centred, centred.mT @ (seen.points - p_mean)).mT
        rows = affine * affine.new_tensor(MODEL_TO_IMAGE_AXES[:2])[:, None]
        scale = rows.norm(dim=-1).mean(-1)
        first = functional.normalize(rows[:, 0], dim=-1)
        second = functional.normalize(rows[:, 1] - (first * rows[:, 1]).sum(-1, keepdim=True) * first, dim=-1)
        rotation = torch.stack([first, second, torch.linalg.cross(first, second)], 1)
        axes = rotation.new_tensor(MODEL_TO_IMAGE_AXES)
        offset = p_mean[:, 0] - ((x_mean @ rotation.mT) * axes)[:, 0, :2] * scale[:, None]
        return Camera(angles_from_rotation(rotation), scale, offset)

    def _rigid(self, state: FitState, seen: "_Seen") -> FitState:
        """One step of rotation, scale and place."""
        x, _ = self._points.chosen(state.coefficients, state.camera.angles)
        view = FitView.of(state, x)
        jacobian = (view.by_pose(seen.size) * seen.weight[..., None]).flatten(1, 2)
        residual, common = seen.residual(view), self._precision.common(jacobian)
        normal = jacobian.mT @ jacobian - common.mT @ common
        normal = normal + DAMPING * torch.diag_embed(normal.diagonal(dim1=1, dim2=2))
        gradient = jacobian.mT @ residual - common.mT @ self._precision.common(residual)
        return state.updated(torch.linalg.solve(normal, gradient)[..., 0], seen.size)

    def _full(self, state: FitState, seen: "_Seen", noise: Tensor) -> tuple[FitState, Tensor]:
        """The state after steps with one linearisation, and the points' noise as it then explains it."""
        x, paths = self._points.chosen(state.coefficients, state.camera.angles)
        view = FitView.of(state, x)
        jacobian = self._jacobian(view, paths, seen)
        common = self._precision.common(jacobian)
        explained = jacobian.mT @ jacobian - common.mT @ common
        first = state.first_coefficient
        precision = noise.square().reciprocal()[:, None]
        normal = explained * precision[..., None]
        normal[:, first:, first:] += self._prior
        if seen.lens is not None:
            normal[:, LENS, LENS.T] += seen.lens.precision()
        # Unknowns of one size: they differ by thousands, more than numbers of 24 bits can take.
        unit = normal.diagonal(dim1=1, dim2=2).rsqrt()
        normal = normal * unit[..., None] * unit[:, None]
        normal.diagonal(dim1=1, dim2=2).add_(DAMPING)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(normal)) * unit[..., None] * unit[:, None]
        for _ in range(CHORD_STEPS):
            residual = seen.residual(view)
            # The long matrix on the right: transposed, its product with a vector takes three times as long.
            gradient = residual.mT @ jacobian - self._precision.common(residual).mT @ common
            gradient = gradient[:, 0] * precision
            gradient[:, first:] += (seen.expected - state.coefficients) @ self._prior
            if seen.lens is not None and state.log_distance is not None:
                gradient[:, LENS[:, 0]] += seen.lens.pull(state.scale, state.log_distance)
            state = self._within_range(state.updated((inverse @ gradient[..., None])[..., 0], seen.size))
            view = FitView.of(state, self._points.at(state.coefficients, paths))
        residual = seen.residual(view)
        left = residual.square().sum((1, 2)) - self._precision.common(residual).square().sum((1, 2))
        freedom = 2 * self._precision.points - precision[:, 0] * (inverse * explained).sum((1, 2))
        return state, (left / freedom).sqrt()

    def _jacobian(self, view: FitView, paths: Tensor, seen: "_Seen") -> Tensor:
        """(B, 2 P, U) by which the weighted points move with the unknowns."""
        state, weight = view.state, seen.weight[..., None]
        jacobian = view.turned.new_empty(*seen.points.shape, state.unknowns)
        jacobian[..., :POSE] = view.by_pose(seen.size) * weight
        if seen.lens is not None:
            jacobian[..., DISTANCE] = view.by_log_distance * seen.weight
        self._points.move(view.by_point * weight, paths, jacobian[..., state.first_coefficient :])
        return jacobian.flatten(1, 2)

    def _within_range(self, state: FitState) -> FitState:
        shape, expression = state.coefficients.tensor_split([self._shape_size], 1)
        return replace(state, coefficients=torch.cat([shape, expression.clamp(*self._range)], 1))


@dataclass(frozen=True)
class _Seen:
    """What is fitted: points (B, P, 2), their weights (B, P, 2), box sizes (B,), and what is known before."""

    points: Tensor
    weight: Tensor
    size: Tensor
    expected: Tensor
    lens: Lens | None

    def residual(self, view: FitView) -> Tensor:
        """(B, 2 P, 1) by which the weighted points lie beside those of a view."""
        return ((self.points - view.places) * self.weight).flatten(1)[..., None]
