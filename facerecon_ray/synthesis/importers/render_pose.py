"""The poses of the renders of one head whose mesh is known, where no file says them.

Landmarks give the pose of the renders that look to the front. Towards profile the landmark predictor fails, so those
renders are brought into the pose in which the mesh carries the texture that the renders nearer to the front show,
one after the other outwards; the yaw range that a render's number stands for, and the camera of the frontal renders,
say where to start. What is recovered is a scaled orthographic camera.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, FaceModel
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.shading import vertex_normals
from facerecon_ray.synthesis.importers.outline import OutlineTerm
from facerecon_ray.synthesis.importers.rigid_fit import UNKNOWNS, LandmarkTerm, RigidState, solve_step
from facerecon_ray.synthesis.importers.texture_match import (
    COARSE,
    FINE,
    Detail,
    Surface,
    TextureTerm,
    gather_texture,
)

LANDMARK_DEVIATION = 0.02
"""Of the landmark predictor, as a share of the face's size, on faces nearer to the front than the limit."""

LANDMARK_YAW = 45.0

LANDMARK_STEPS, START_STEPS, COARSE_STEPS, FINE_STEPS = 20, 4, 12, 12
ROUNDS, REFINEMENTS = 2, 3
SETTLED = 1e-5

START_YAWS = (0.15, 0.5, 0.85)
"""Starts within a render's yaw range."""
START_TILTS = (-20.0, -10.0, 0.0, 10.0, 20.0)
"""Starts of pitch and roll, degrees."""
KEPT_STARTS = 6

YAW_SLACK = 6.0
"""Degrees by which a recovered yaw may lie outside its range."""

LEAST_FIRST_AGREEMENT, LEAST_NEW_AGREEMENT, LEAST_AGREEMENT = 0.4, 0.6, 0.7
"""Correlation of a render's texture with that of the others: as landmarks say, as found from scratch, in the end."""

SURFACE_POINTS = 4000


Term = LandmarkTerm | OutlineTerm | TextureTerm


@dataclass(frozen=True)
class Render:
    """One picture of the head.

    image      (H, W, 3) uint8
    yaw_range  degrees
    landmarks  (68, 2) pixels, or None where no face was found
    rotation   (3, 3) of the camera, where a file says it
    state      the whole camera, where a file says it
    """

    image: np.ndarray
    yaw_range: tuple[float, float]
    landmarks: np.ndarray | None = None
    rotation: np.ndarray | None = None
    state: RigidState | None = None

    @property
    def yaw(self) -> float:
        """Middle of the range."""
        return sum(self.yaw_range) / 2

    @property
    def free(self) -> slice:
        """Which of the six unknowns have to be found."""
        return slice(0 if self.rotation is None else 3, UNKNOWNS)

    def allows(self, state: RigidState) -> bool:
        """Whether a camera's yaw lies in the range, with some slack; what a file says is allowed."""
        low, high = self.yaw_range
        return self.rotation is not None or bool(low - YAW_SLACK <= state.angles[0] <= high + YAW_SLACK)


class PoseRecovery:
    """Recovers the cameras of renders of heads of one face model."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model
        face = model.face_vertices.numpy()
        self._compared = face[:: max(1, len(face) // SURFACE_POINTS)]

    def __call__(self, vertices: torch.Tensor, renders: dict[int, Render]) -> dict[int, RigidState]:
        """Cameras of those renders for which one was found.

        Parameters
        ----------
        vertices : (1, N, 3) metres
        renders : by their number
        """
        states = {number: render.state for number, render in renders.items() if render.state}
        terms = {}
        for number, render in renders.items():
            term = self._landmark_term(vertices, render)
            if term is None:
                continue
            terms[number] = term
            state = _descend(_first_state(term, render), render.free, [term], LANDMARK_STEPS, _size(term.places))
            if render.allows(state) and term.misfit(state) < 3 * term.deviation:
                states.setdefault(number, state)
        if not states:
            return {}
        alignment = _Alignment(self._surface(vertices), renders, terms, states)
        alignment.drop_disagreeing(LEAST_FIRST_AGREEMENT)
        for _ in range(ROUNDS):
            for number in sorted(renders, key=lambda number: abs(renders[number].yaw)):
                if number not in states:
                    alignment.add(number)
            for _ in range(REFINEMENTS):
                alignment.refine()
            alignment.drop_disagreeing(LEAST_AGREEMENT)
        return states

    def _landmark_term(self, vertices: torch.Tensor, render: Render) -> LandmarkTerm | None:
        if render.landmarks is None or abs(render.yaw) > LANDMARK_YAW:
            return None
        angles = torch.tensor([[render.yaw, 0.0, 0.0]])
        points = landmarks_on_vertices(self._model, vertices, angles)[0, CONTOUR_LANDMARKS:].double().numpy()
        places = render.landmarks[CONTOUR_LANDMARKS:]
        return LandmarkTerm(points, places, LANDMARK_DEVIATION * _size(render.landmarks))

    def _surface(self, vertices: torch.Tensor) -> Surface:
        normals = vertex_normals(vertices, self._model.triangles, frame="model")
        return Surface(*(values[0, self._compared].double().numpy() for values in (vertices, normals)))


class _Alignment:
    """The renders of one head on their way to their cameras, which `states` holds."""

    def __init__(
        self,
        surface: Surface,
        renders: dict[int, Render],
        terms: dict[int, LandmarkTerm],
        states: dict[int, RigidState],
    ) -> None:
        self._surface, self._renders, self._terms, self._states = surface, renders, terms, states
        self._scale = float(np.median([state.scale for state in states.values()]))
        self._place = np.median([state.translation for state in states.values()], axis=0)
        self._unit = self._scale * float(np.ptp(surface.points[:, 1]))
        self._details = {
            fineness: {k: Detail.of(render.image, self._unit, fineness) for k, render in renders.items()}
            for fineness in (COARSE, FINE)
        }
        self._outlines = {k: OutlineTerm.of(surface.points, render.image, self._unit) for k, render in renders.items()}

    def drop_disagreeing(self, least: float) -> None:
        """Forget, worst first, the landmarks and cameras of renders that show another texture than the others do."""
        while len(self._states) > 1:
            agreement = {
                number: self._agreement(number) for number in self._states if self._renders[number].state is None
            }
            worst = min(agreement, key=lambda number: agreement[number], default=None)
            if worst is None or agreement[worst] >= least:
                break
            del self._states[worst]
            self._terms.pop(worst, None)

    def add(self, number: int) -> None:
        """Find a camera from scratch: the best of many starts."""
        render = self._renders[number]
        coarse, fine = self._texture_term(number, COARSE), self._texture_term(number, FINE)
        tried = [_descend(start, render.free, [coarse], START_STEPS, self._unit) for start in self._starts(render)]
        best = sorted(tried, key=coarse.agreement, reverse=True)[:KEPT_STARTS]
        finer = [_descend(state, render.free, [coarse], COARSE_STEPS, self._unit) for state in best]
        terms: list[Term] = [fine, self._outlines[number]]
        state = _descend(max(finer, key=coarse.agreement), render.free, terms, FINE_STEPS, self._unit)
        if render.allows(state) and fine.agreement(state) >= LEAST_NEW_AGREEMENT:
            self._states[number] = state

    def _starts(self, render: Render) -> list[RigidState]:
        if render.rotation is not None:
            return [RigidState(render.rotation, self._scale, self._place)]
        low, high = render.yaw_range
        yaws = [low + share * (high - low) for share in START_YAWS]
        return [
            RigidState.of(np.array(angles), self._scale, self._place)
            for angles in itertools.product(yaws, START_TILTS, START_TILTS)
        ]

    def refine(self) -> None:
        """Bring every recovered camera in line with the texture of the other renders and with its own landmarks."""
        for number, state in list(self._states.items()):
            render = self._renders[number]
            if render.state is None and len(self._states) > 1:
                terms: list[Term] = [self._outlines[number], self._texture_term(number, FINE)]
                terms += [self._terms[number]] if number in self._terms else []
                self._states[number] = _descend(state, render.free, terms, FINE_STEPS, self._unit)

    def _agreement(self, number: int) -> float:
        state = self._states[number]
        allowed = self._renders[number].allows(state)
        return self._texture_term(number, FINE).agreement(state) if allowed else -1.0

    def _texture_term(self, number: int, fineness: float) -> TextureTerm:
        details = self._details[fineness]
        others = [(details[other], state) for other, state in self._states.items() if other != number]
        return TextureTerm(self._surface, details[number], *gather_texture(self._surface, others))


def _first_state(term: LandmarkTerm, render: Render) -> RigidState:
    """The head at the middle of its yaw range, or as a file says, as large and where the landmarks are."""
    start = RigidState.of(np.array([render.yaw, 0.0, 0.0]), 1.0, np.zeros(2))
    start = start if render.rotation is None else RigidState(render.rotation, 1.0, np.zeros(2))
    seen = start.project(term.points)
    scale = _size(term.places) / _size(seen)
    return RigidState(start.rotation, scale, term.places.mean(0) - scale * seen.mean(0))


def _descend(state: RigidState, free: slice, terms: Sequence[Term], steps: int, unit: float) -> RigidState:
    """Gauss-Newton steps on the sum of the terms, in the free ones of the six unknowns."""
    for _ in range(steps):
        equations = [term.normal_equations(state, unit) for term in terms]
        normal, gradient = sum(first for first, _ in equations), sum(second for _, second in equations)
        step = np.zeros(UNKNOWNS)
        step[free] = solve_step(np.asarray(normal)[free, free], np.asarray(gradient)[free])
        state = state.moved(step, unit)
        if np.abs(step).max() < SETTLED:
            break
    return state


def _size(points: np.ndarray) -> float:
    """Square root of the area of the bounding box."""
    return float(np.sqrt(np.ptp(points, axis=0).prod()))
