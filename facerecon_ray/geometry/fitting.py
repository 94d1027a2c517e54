"""Fit the face model to points in a picture: pose, distance, shape and expression by batched Gauss-Newton.

The estimate is the most likely one under what is known of the face, the camera and the points' errors (maximum a
posteriori): minimise (q - p)^T C^-1 (q - p) / s^2 + (a - e)^T D^-1 (a - e), where q are the points of the model seen
by a camera, p the given ones, and C the covariance of their errors, measured on pictures of known heads; a are the
coefficients of shape and expression, e what is expected of them and D the covariance of that: 0 and the identity, the
model's own prior, unless something has looked at the face. With a `Lens`, distance is one unknown more, with terms for
how far people stand from cameras and for the focal length that a photo states. Points of one picture can be better or
worse than usual: s is estimated from what the fit cannot explain (MacKay, Bayesian Interpolation, 1992).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.landmarks import CONTOUR_LANDMARKS, LandmarkModel
from facerecon_ray.geometry.lens import DISTANCE_SPREAD, FARTHEST, FOCAL_SPREAD, NEAREST, USUAL_DISTANCE, Lens
from facerecon_ray.geometry.point_noise import PointNoise, Whitening
from facerecon_ray.geometry.pose import (
    MODEL_TO_IMAGE_AXES,
    Camera,
    angles_from_rotation,
    rotation_from_angles,
    sight_rotation,
)

LANDMARKS = 68
RIGID_STEPS, STARTED_RIGID_STEPS = 3, 2
FULL_STEPS, STARTED_FULL_STEPS = 5, 2
"""Linearisations, of all and of fits that begin with a known camera."""

CHORD_STEPS = 3
"""Steps with each linearisation: what the points are off is worked out anew, how they move is not."""

DAMPING = 1e-3
POSE = 6
"""Unknowns of rotation, scale and place; the distance follows, then the coefficients."""

LEAST_TRUST, MOST_TRUST = 1.5, 0.2
"""Limits of the factor by which a face's points may be noisier or cleaner than usual."""

MODEL_MISS = 0.0012
"""Metres by which a landmark of a person lies beside that of the model that comes closest: what the model cannot say.
So the found landmark counts beside the model's where it is known better than that."""


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
        self._model = LandmarkModel.of(model, dense)
        if noise.points != LANDMARKS + self._model.dense:
            raise ValueError(
                f"the noise is of {noise.points} points, the face model has {LANDMARKS} landmarks and "
                f"{len(model.dense_landmarks)} dense ones"
            )
        self._points = _Points(self._model)
        self._shape_size = model.shape_size
        self._range = model.expression_range.tolist()
        self._white = Whitening(noise, device)
        self._variance = noise.variance[:LANDMARKS].float().to(device)
        if coefficient_noise is None:
            coefficient_noise = torch.eye(len(self._model.basis), device=device)
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
        if points.shape[1] != self._white.points:
            raise ValueError(f"{points.shape[1]} points are given, the noise is of {self._white.points}")
        size = box_size(points[:, :LANDMARKS])
        if not bool((size.isfinite() & (size > 0.0)).all()):
            raise ValueError("landmarks are not finite, or all in one place")
        deviation = size[:, None].expand(points.shape[:2]) if deviation is None else deviation
        if expected is None:
            expected = points.new_zeros(len(points), len(self._model.basis))
        seen = _Seen(points, self._white.weight(deviation), size, expected, lens)
        state = self._initial(seen) if start is None else _started(start, seen)
        rigid, full = (RIGID_STEPS, FULL_STEPS) if start is None else (STARTED_RIGID_STEPS, STARTED_FULL_STEPS)
        for _ in range(rigid):
            state = self._rigid(state, seen)
        noise = estimate = torch.ones_like(size)
        for _ in range(full):
            state, estimate = self._full(state, seen, noise)
            noise = estimate.clamp(MOST_TRUST, LEAST_TRUST)
        return self._result(state, seen, deviation, estimate)

    def _result(self, state: "_State", seen: "_Seen", deviation: Tensor, noise: Tensor) -> Fit:
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

    def _initial(self, seen: "_Seen") -> "_State":
        """A face under the affine camera that explains the landmarks best, made orthogonal."""
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
        return _started(Camera(angles_from_rotation(rotation), scale, offset), seen)

    def _rigid(self, state: "_State", seen: "_Seen") -> "_State":
        """One step of rotation, scale and place."""
        x, _ = self._points.chosen(state.coefficients, state.camera.angles)
        view = _View.of(state, x)
        jacobian = self._white((view.by_pose(seen.size) * seen.weight[..., None]).flatten(1, 2))
        normal = jacobian.mT @ jacobian
        normal = normal + DAMPING * torch.diag_embed(normal.diagonal(dim1=1, dim2=2))
        update = torch.linalg.solve(normal, jacobian.mT @ self._residual(view, seen))
        return self._updated(state, functional.pad(update[..., 0], (0, state.unknowns - POSE)), seen)

    def _full(self, state: "_State", seen: "_Seen", noise: Tensor) -> tuple["_State", Tensor]:
        """The state after steps with one linearisation, and the points' noise as it then explains it."""
        x, paths = self._points.chosen(state.coefficients, state.camera.angles)
        view = _View.of(state, x)
        first = state.unknowns - len(self._model.basis)
        jacobian = x.new_empty(*x.shape[:2], 2, state.unknowns)
        jacobian[..., :POSE] = view.by_pose(seen.size) * seen.weight[..., None]
        if first > POSE:
            jacobian[..., POSE] = view.by_log_distance * seen.weight
        self._points.move(view.by_point * seen.weight[..., None], paths, jacobian[..., first:])
        white = self._white(jacobian.flatten(1, 2))
        explained = white.mT @ white
        precision = noise.square().reciprocal()[:, None]
        normal = explained * precision[..., None]
        normal[:, first:, first:] += self._prior
        if first > POSE:
            normal += seen.distance_precision(state)
        # Unknowns of one size: they differ by thousands, more than numbers of 24 bits can take.
        unit = normal.diagonal(dim1=1, dim2=2).rsqrt()
        normal = normal * unit[..., None] * unit[:, None]
        normal.diagonal(dim1=1, dim2=2).add_(DAMPING)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(normal)) * unit[..., None] * unit[:, None]
        residual = self._residual(view, seen)
        for _ in range(CHORD_STEPS):
            gradient = (white.mT @ residual)[..., 0] * precision
            gradient[:, first:] += (seen.expected - state.coefficients) @ self._prior
            if first > POSE:
                gradient += seen.distance_pull(state)
            state = self._updated(state, (inverse @ gradient[..., None])[..., 0], seen)
            residual = self._residual(_View.of(state, self._points.at(state.coefficients, paths)), seen)
        freedom = 2 * self._white.points - precision[:, 0] * (inverse * explained).sum((1, 2))
        return state, (residual.square().sum((1, 2)) / freedom).sqrt()

    def _residual(self, view: "_View", seen: "_Seen") -> Tensor:
        """(B, 2 P, 1) white."""
        return self._white(((seen.points - view.places) * seen.weight).flatten(1)[..., None])

    def _updated(self, state: "_State", update: Tensor, seen: "_Seen") -> "_State":
        rotation = torch.linalg.matrix_exp(_skew(update[:, :3])) @ state.rotation
        scale = state.scale * update[:, 3].clamp(-0.5, 0.5).exp()
        translation = state.translation + update[:, 4:6] * seen.size[:, None]
        first = update.shape[1] - len(self._model.basis)
        log_distance = state.log_distance
        if log_distance is not None:
            moved = log_distance + update[:, POSE].clamp(-0.5, 0.5)
            log_distance = moved.clamp(math.log(NEAREST), math.log(FARTHEST))
        coefficients = state.coefficients + update[:, first:]
        expression = coefficients[:, self._shape_size :].clamp(*self._range)
        coefficients = torch.cat([coefficients[:, : self._shape_size], expression], 1)
        return _State(rotation, scale, translation, log_distance, state.ray, coefficients)


@dataclass(frozen=True)
class _Seen:
    """What is fitted: points (B, P, 2), their weights (B, P, 2), box size (B,), and what is expected."""

    points: Tensor
    weight: Tensor
    size: Tensor
    expected: Tensor
    lens: Lens | None

    def distance_precision(self, state: "_State") -> Tensor:
        """(B, U, U) of scale and distance by what is known of the lens."""
        assert self.lens is not None
        matrix = state.scale.new_zeros(len(state.scale), state.unknowns, state.unknowns)
        matrix[:, POSE, POSE] = DISTANCE_SPREAD**-2
        stated = self.lens.known.float() * FOCAL_SPREAD**-2
        for row in (SCALE, POSE):
            for column in (SCALE, POSE):
                matrix[:, row, column] += stated
        return matrix

    def distance_pull(self, state: "_State") -> Tensor:
        """(B, U) the same precision times what scale and distance are off."""
        assert self.lens is not None and state.log_distance is not None
        pull = state.scale.new_zeros(len(state.scale), state.unknowns)
        focal = torch.where(self.lens.known, self.lens.focal_length, 1.0)
        off = self.lens.known * (focal.log() - state.scale.log() - state.log_distance) * FOCAL_SPREAD**-2
        pull[:, SCALE] = off
        pull[:, POSE] = off + (math.log(USUAL_DISTANCE) - state.log_distance) * DISTANCE_SPREAD**-2
        return pull


SCALE = 3
"""Where the scale stands among the unknowns."""


@dataclass(frozen=True)
class _State:
    """rotation (B, 3, 3) is the whole one of `Camera.rotation`; without a log_distance (B,) a face is far away."""

    rotation: Tensor
    scale: Tensor
    translation: Tensor
    log_distance: Tensor | None
    ray: Tensor
    coefficients: Tensor

    @property
    def unknowns(self) -> int:
        return POSE + (self.log_distance is not None) + self.coefficients.shape[1]

    @property
    def nearness(self) -> Tensor:
        return torch.zeros_like(self.scale) if self.log_distance is None else (-self.log_distance).exp()

    @property
    def camera(self) -> Camera:
        angles = angles_from_rotation(sight_rotation(self.ray).mT @ self.rotation)
        return Camera(angles, self.scale, self.translation, self.nearness, self.ray)


@dataclass(frozen=True)
class _View:
    """Points of the model as a state sees them, and how they move in the picture with each unknown.

    turned    (B, P, 3) metres, model axes
    offset    (B, P, 2) from the origin's place, pixels
    larger    (B, P, 1) how much larger than at the origin things are seen at a point
    """

    state: _State
    turned: Tensor
    offset: Tensor
    larger: Tensor

    @staticmethod
    def of(state: _State, points: Tensor) -> "_View":
        turned = points @ state.rotation.mT
        depth = turned[..., 2:]
        larger = 1.0 / (1.0 - state.nearness[:, None, None] * depth)
        flat = turned[..., :2] * turned.new_tensor(MODEL_TO_IMAGE_AXES[:2]) + state.ray[:, None] * depth
        return _View(state, turned, flat * larger * state.scale[:, None, None], larger)

    @property
    def places(self) -> Tensor:
        """(B, P, 2) pixels."""
        return self.offset + self.state.translation[:, None]

    @property
    def _by_turned(self) -> Tensor:
        """(B, P, 2, 3) pixels a metre by which a turned point moves, model axes."""
        state = self.state
        flat = torch.diag(self.turned.new_tensor(MODEL_TO_IMAGE_AXES))[:2].expand(*self.turned.shape[:2], 2, 3).clone()
        nearer = state.nearness[:, None, None] * self.offset / state.scale[:, None, None]
        flat[..., 2] = state.ray[:, None] + nearer
        return flat * (state.scale[:, None, None] * self.larger)[..., None]

    @property
    def by_point(self) -> Tensor:
        """(B, P, 2, 3) pixels a metre by which a point of the model moves, model frame."""
        return self._by_turned @ self.state.rotation[:, None]

    def by_pose(self, size: Tensor) -> Tensor:
        """(B, P, 2, 6) with rotation in radians, the logarithm of the scale, and the place in box sizes (B,)."""
        unit = torch.eye(2, device=size.device).expand(*self.offset.shape, 2) * size[:, None, None, None]
        return torch.cat([self._by_turned @ -_skew(self.turned), self.offset[..., None], unit], -1)

    @property
    def by_log_distance(self) -> Tensor:
        """(B, P, 2)."""
        return -self.offset * self.larger * self.state.nearness[:, None, None] * self.turned[..., 2:]


class _Points:
    """The model's points, those of the jaw chosen among their paths by the pose; the others are always the same.

    Parameters
    ----------
    model : whose points
    """

    def __init__(self, model: LandmarkModel) -> None:
        self._model = model
        count = len(model.mean)
        self._fixed = model.choose(model.mean[None], torch.zeros(1, 3, device=model.mean.device))[0]
        self._jaw_basis = model.basis.permute(1, 2, 0)
        self._basis = self._jaw_basis[self._fixed[CONTOUR_LANDMARKS:]].contiguous()
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


def _started(camera: Camera, seen: _Seen) -> _State:
    """Faces as expected under cameras, with the lens's line of sight."""
    lens = seen.lens
    if lens is None:
        ray, log_distance = torch.zeros_like(camera.translation), None
    else:
        told = torch.where(camera.nearness > 0, camera.nearness.reciprocal(), lens.usual_distance(camera.scale))
        ray, log_distance = lens.ray, told.clamp(NEAREST, FARTHEST).log()
    rotation = sight_rotation(ray) @ rotation_from_angles(camera.angles)
    return _State(rotation, camera.scale, camera.translation, log_distance, ray, seen.expected)


def _skew(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack([zero, -z, y], -1), torch.stack([z, zero, -x], -1), torch.stack([-y, x, zero], -1)]
    return torch.stack(rows, -2)
