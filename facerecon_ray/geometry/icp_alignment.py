"""Align a mesh to a scan: iterated closest points with scale, from several starts.

Point to plane (Chen and Medioni, Object modelling by registration of multiple range images, 1992), with a seventh
parameter for the scale. What is minimised is the distance divided by the scale, which is the distance in the mesh's
own unit: with plain distances a smaller mesh is always a better one. Far-off points count less (Huber, Robust
Estimation of a Location Parameter, 1964).
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.similarity import Similarity
from facerecon_ray.geometry.surface import Surface

START_DEGREES = 30.0
"""Beside the given start, six that are turned by this much about the mesh's axes."""

COARSE_POINTS, COARSE_STEPS = 250, 12
FINALISTS, FINALIST_POINTS, FINALIST_STEPS = 2, 1000, 40
LAST_STEPS = 12
"""All starts take a few steps with few points, the best of them go on with more, and the winner ends with all."""

CONVERGED = 2e-5
"""Step, in shares of the mesh's size, below which an alignment is finished."""

HUBER = 2.5
"""Distance, in standard deviations estimated from the median, from which points count less."""

DAMPING = 1e-9


@dataclass(frozen=True)
class Alignment:
    """Where a mesh came to rest on a scan.

    transform  of the mesh's points to the scan's frame
    fit        0 to 1, share of the mesh's points that are closer to the scan than 2 % of the mesh's size
    start      which start won: 0 is the given one
    agreement  share of the refined starts that came to rest at the same place as the winner
    """

    transform: Similarity
    fit: float
    start: int
    agreement: float


def align_to_scan(points: np.ndarray, scan: Surface, start: Similarity) -> Alignment:
    """Find the similarity transform that lays a mesh's points onto a scan.

    Parameters
    ----------
    points : (N, 3) vertices of the mesh
    scan : the surface
    start : a guess, for example from landmarks; it may be 40 degrees off

    Returns
    -------
    Alignment with the smallest robust distance among all starts
    """
    points = np.asarray(points, np.float64)
    size = float(np.linalg.norm(points.max(0) - points.min(0)))
    few, more = (points[:: max(1, len(points) // count)] for count in (COARSE_POINTS, FINALIST_POINTS))
    starts = [start.turned_about(points.mean(0), turn) for turn in _turns()]
    coarse = [_descend(few, scan, guess, size, COARSE_STEPS) for guess in starts]
    order = np.argsort([cost for _, cost in coarse], kind="stable")[:FINALISTS]
    refined = [_descend(more, scan, coarse[index][0], size, FINALIST_STEPS) for index in order]
    winner = int(np.argmin([cost for _, cost in refined]))
    best, _ = _descend(points, scan, refined[winner][0], size, LAST_STEPS)
    resting = best.apply(points)
    gaps = [np.linalg.norm(other.apply(points) - resting, axis=-1).mean() for other, _ in refined]
    near = 0.02 * size * best.scale
    fit = float((scan.distance(resting) < near).mean())
    return Alignment(best, fit, int(order[winner]), float(np.mean(np.array(gaps) < near / 4)))


def _turns() -> list[np.ndarray]:
    about_axes = [sign * START_DEGREES * axis for axis in np.eye(3) for sign in (1.0, -1.0)]
    return [np.eye(3), *(Rotation.from_rotvec(turn, degrees=True).as_matrix() for turn in about_axes)]


def _descend(
    points: np.ndarray, scan: Surface, guess: Similarity, size: float, steps: int
) -> tuple[Similarity, float]:
    """Gauss-Newton from one start: the transform, and the robust mean distance as a share of the mesh's size."""
    for _ in range(steps):
        moved = guess.apply(points)
        nearest, normals = scan.closest(moved)
        update, step = _solve(moved, nearest, normals, guess.scale * size)
        guess = update.after(guess)
        if step < CONVERGED:
            break
    distance = scan.distance(guess.apply(points)) / (guess.scale * size)
    return guess, float(_huber_cost(distance).mean())


def _solve(moved: np.ndarray, nearest: np.ndarray, normals: np.ndarray, size: float) -> tuple[Similarity, float]:
    """One step: the transform to apply next, and how far it moves things, as a share of the mesh's size.

    With residual r = n (s R p + t - q) / s and everything measured from the centre of the moved points in units of
    the mesh's size, the derivative by log s is n (s R p) / s - r.
    """
    centre = moved.mean(0)
    offset = (moved - centre) / size
    residual = ((moved - nearest) * normals).sum(-1) / size
    distance = np.linalg.norm(moved - nearest, axis=-1) / size
    jacobian = np.concatenate(
        [np.cross(offset, normals), normals, ((offset * normals).sum(-1) - residual)[:, None]], axis=-1
    )
    weight = _huber_weight(distance)[:, None]
    normal = jacobian.T @ (weight * jacobian)
    normal += DAMPING * np.trace(normal) * np.eye(7)
    update = -np.linalg.solve(normal, jacobian.T @ (weight[:, 0] * residual))
    # A start far away linearises badly, so no step turns by more than a quarter of a radian or scales by a fifth.
    turn = update[:3] * min(1.0, 0.25 / max(float(np.linalg.norm(update[:3])), 1e-12))
    scale = float(np.exp(np.clip(update[6], -0.2, 0.2)))
    rotation = Rotation.from_rotvec(turn).as_matrix()
    translation = centre + size * update[3:6] - scale * rotation @ centre
    return Similarity(scale, rotation, translation), float(np.abs(update).max())


def _huber_limit(distance: np.ndarray) -> float:
    return float(HUBER * 1.4826 * np.median(distance)) + 1e-12


def _huber_weight(distance: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(1.0, _huber_limit(distance) / np.maximum(distance, 1e-30)))


def _huber_cost(distance: np.ndarray) -> np.ndarray:
    """A distance that grows as its square near 0 would hide how well most points fit; its limit is a fixed 3 %."""
    return np.minimum(distance, 0.03)
