"""Turn a scan to look straight ahead: draw it, estimate the pose of the face, turn it back, until little is left.

The pose comes from fitting the face model to the 68 landmarks of the picture. The landmarks' places on the scan also
give its size, and with it the unit of its file: faces differ by a fifth, units by tens.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.picture_crops import PictureCrops, was_found
from facerecon_ray.evaluation.scan import Scan
from facerecon_ray.evaluation.scan_pictures import METRES_ACROSS, Framing, ScanPictures, pictures_of
from facerecon_ray.geometry.face_model import CONTOUR_LANDMARKS, FaceModel
from facerecon_ray.geometry.fitting import LandmarkFitter
from facerecon_ray.geometry.landmarks import landmarks_on_vertices
from facerecon_ray.geometry.pose import rotation_from_angles
from facerecon_ray.geometry.rasterizer import interpolate, rasterize
from facerecon_ray.geometry.similarity import Similarity

PICTURE_SIZE = 320
SMALL_ANGLE = 1.0
"""Degrees; the alignment is finished when no angle is larger."""

MOST_ROUNDS = 8

TOLERATED_ANGLE = 6.0
"""Degrees of the best round beyond which a scan is not used."""

TOLERATED_MISFIT = 0.009
"""Metres; landmarks on a frontal face are 2 to 6 mm off, on a profile taken for a frontal face 10 and more."""

MOST_ORIENTATIONS = 3

OPENING_DEPTH, OPENING_WIDTH = 0.02, 7
"""Metres behind its surroundings, of so many pixels, from which on a pixel shows no more of the surface."""

EYE_CORNERS = (36 - CONTOUR_LANDMARKS, 45 - CONTOUR_LANDMARKS)
NOSE_TIP = 30 - CONTOUR_LANDMARKS
"""Places among the 51 landmarks that follow the jaw's."""

EYES_APART = 0.092
"""Metres between the outer corners of an adult's eyes, about."""

UNITS = {"metres": 1.0, "decimetres": 0.1, "centimetres": 0.01, "millimetres": 0.001}
UNIT_TOLERANCE = 1.7
"""Factor by which the eyes' distance may differ from an adult's for a unit to be believed."""


@dataclass(frozen=True)
class FrontalPose:
    """How a scan is brought into the head frame: x to the subject's left, y up, z to the front.

    to_head     scan's frame to the head frame, in metres where the unit is known, else in the face model's metres
    landmarks   (51, 3) landmarks 18 to 68 on the scan, head frame
    zoom        metres of the face model for one metre of the head frame; pictures are framed by the former
    unit        the file's unit, "" when the face's size fits none
    rounds      rounds that it took
    residual    largest angle that was left, degrees
    misfit      how far the landmarks on the scan are from a face's, metres of the face model
    """

    to_head: Similarity
    landmarks: np.ndarray
    zoom: float
    unit: str
    rounds: int
    residual: float
    misfit: float

    @property
    def nose_tip(self) -> np.ndarray:
        """(3,) metres."""
        return np.asarray(self.landmarks[NOSE_TIP])


def known_pose(landmarks: np.ndarray) -> FrontalPose:
    """Of a scan that lies in the head frame, in metres, with landmarks (51, 3) that are known."""
    as_it_lies = Similarity(1.0, np.eye(3), np.zeros(3))
    return FrontalPose(as_it_lies, landmarks, zoom=1.0, unit="metres", rounds=0, residual=0.0, misfit=0.0)


class FrontalAligner:
    """Finds the frontal pose of scans.

    Parameters
    ----------
    finder : detector and landmarks
    model : the face model that is fitted
    """

    def __init__(self, finder: PictureCrops, model: FaceModel) -> None:
        self._finder, self._model, self._fit = finder, model, LandmarkFitter(model)

    @torch.inference_mode()
    def __call__(self, scan: Scan) -> FrontalPose:
        """Align one scan.

        Raises
        ------
        InputError
            when no face is found from any side, or the pose cannot be brought near to frontal
        """
        pictures = pictures_of(scan)
        problems = []
        for guess in self._first_guesses(scan, pictures):
            result = self._turn_to_front(scan, pictures, guess)
            if isinstance(result, FrontalPose):
                return result
            problems += [result] if result else []
        if not problems:
            raise InputError("no face was found on the scan from any side")
        raise InputError(f"the scan could not be turned to the front: {problems[0]}")

    def _turn_to_front(self, scan: Scan, pictures: ScanPictures, guess: Similarity) -> "FrontalPose | str":
        """Go round from one guess: the pose, or in words why there is none, "" when no face is seen at all."""
        best: _Estimate | None = None
        rounds = 0
        while rounds < MOST_ROUNDS:
            rounds += 1
            estimate = self._estimate(scan, pictures, [guess])[0]
            if estimate is None:
                break
            if best is None or estimate.rank < best.rank:
                best = estimate
            if estimate.largest_angle <= SMALL_ANGLE:
                break
            guess = estimate.update.after(guess)
        if best is None:
            return ""
        if best.largest_angle > TOLERATED_ANGLE:
            return f"{best.largest_angle:.0f} degrees were left after {rounds} rounds"
        if best.misfit > TOLERATED_MISFIT:
            return f"what was found is no face: its landmarks on the scan are {best.misfit * 1000:.0f} mm off"
        return _with_unit(best, rounds)

    def _first_guesses(self, scan: Scan, pictures: ScanPictures) -> Iterator[Similarity]:
        """The scan as it lies; then the axis-aligned orientations whose landmarks look most like a face in space."""
        fitted = _fill_picture(scan)
        as_it_lies, *turned = [
            _centred(scan, fitted.after(Similarity(1.0, turn, np.zeros(3)))) for turn in axis_rotations()
        ]
        yield as_it_lies
        estimates = [estimate for estimate in self._estimate(scan, pictures, turned) if estimate is not None]
        for estimate in sorted(estimates, key=lambda estimate: estimate.misfit)[:MOST_ORIENTATIONS]:
            yield estimate.guess

    def _estimate(self, scan: Scan, pictures: ScanPictures, guesses: list[Similarity]) -> "list[_Estimate | None]":
        """What one round says about each guess, None where no face is seen."""
        faces = self._finder.find([pictures.draw(_frontal(guess)) for guess in guesses])
        return [
            self._measured(scan, pictures, guess, pixels) if seen else None
            for guess, pixels, seen in zip(guesses, faces["landmarks"], was_found(faces), strict=True)
        ]

    def _measured(self, scan: Scan, pictures: ScanPictures, guess: Similarity, pixels: np.ndarray) -> "_Estimate":
        fit = self._fit(torch.from_numpy(pixels[None]).float())
        angles = fit.camera.angles
        landmarks = _on_surface(scan, pictures, guess, pixels[CONTOUR_LANDMARKS:])
        vertices = self._model.vertices(fit.shape, fit.expression)
        expected = landmarks_on_vertices(self._model, vertices, angles)[0, CONTOUR_LANDMARKS:].numpy()
        back = rotation_from_angles(angles)[0].numpy().astype(np.float64).T
        turned = landmarks @ back.T
        scale = float(expected.std(0).mean() / turned.std(0).mean())
        update = Similarity(scale, back, expected.mean(0) - scale * turned.mean(0))
        gaps = Similarity.between(landmarks, expected).apply(landmarks) - expected
        misfit = float(np.linalg.norm(gaps, axis=1).mean())
        return _Estimate(guess, update, float(angles.abs().max()), misfit, landmarks)


@dataclass(frozen=True)
class _Estimate:
    """One round's result.

    guess, update   the transform that was drawn, and the one that undoes the angles that were seen
    largest_angle   degrees
    misfit          mean distance of the landmarks on the scan to those of the fitted face model, laid onto them as
                    well as a similarity transform can, metres; large where the landmarks do not lie on a face
    landmarks       (51, 3) in the guess's frame
    """

    guess: Similarity
    update: Similarity
    largest_angle: float
    misfit: float
    landmarks: np.ndarray

    @property
    def rank(self) -> tuple[bool, float]:
        """Smaller is better: what lies on a face goes before what is turned less."""
        return self.misfit > TOLERATED_MISFIT, self.largest_angle


def axis_rotations() -> list[np.ndarray]:
    """The 24 rotations that take axes to axes, the identity first."""
    rotations = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.eye(3)[list(order)] * np.array(signs)[:, None]
            if np.linalg.det(matrix) > 0:
                rotations.append(matrix)
    return sorted(rotations, key=lambda matrix: -float(np.trace(matrix)))


def _fill_picture(scan: Scan) -> Similarity:
    """Scale that makes the scan fill a picture; stray points have no say."""
    low, high = np.quantile(scan.vertices, (0.002, 0.998), axis=0)
    return Similarity(0.9 * METRES_ACROSS / float((high - low).max()), np.eye(3), np.zeros(3))


def _centred(scan: Scan, guess: Similarity) -> Similarity:
    low, high = np.quantile(guess.apply(scan.vertices), (0.002, 0.998), axis=0)
    return Similarity(guess.scale, guess.rotation, guess.translation - (low + high) / 2)


def _frontal(guess: Similarity) -> Framing:
    return Framing(guess, (0.0, 0.0, 0.0), PICTURE_SIZE)


def _on_surface(scan: Scan, pictures: ScanPictures, guess: Similarity, pixels: np.ndarray) -> np.ndarray:
    """(Q, 3) what the picture shows at pixels (Q, 2), in the guess's frame; off the surface, the nearest pixel's."""
    points = torch.from_numpy(pictures.project(scan.vertices, _frontal(guess))).float()[None]
    triangles = torch.from_numpy(scan.triangles)
    fragments = rasterize(points, triangles, PICTURE_SIZE, PICTURE_SIZE)
    places = interpolate(fragments, triangles, torch.from_numpy(guess.apply(scan.vertices)).float())[0].numpy()
    rows, columns = np.nonzero(fragments.mask[0].numpy() & ~_behind_an_opening(fragments.depth[0].numpy()))
    gaps = (columns + 0.5 - pixels[:, :1]) ** 2 + (rows + 0.5 - pixels[:, 1:]) ** 2
    nearest = gaps.argmin(1)
    found: np.ndarray = places[rows[nearest], columns[nearest]].astype(np.float64)
    # Within a pixel the surface is taken to be parallel to the picture.
    metres = METRES_ACROSS / PICTURE_SIZE
    close = gaps.min(1) < 1.0
    shift = pixels - np.stack([columns[nearest], rows[nearest]], 1) - 0.5
    found[close, :2] += shift[close] * metres * (1.0, -1.0)
    return found


def _behind_an_opening(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool, where a picture shows what lies far behind the surface around it: between lips, or through a hole.

    depth : (H, W) pixels towards the camera, -inf where nothing is seen
    """
    far = OPENING_DEPTH / (METRES_ACROSS / PICTURE_SIZE)
    depth = np.nan_to_num(depth, neginf=-1e6)
    return np.asarray(ndimage.maximum_filter(depth, OPENING_WIDTH) - depth > far)


def _with_unit(best: _Estimate, rounds: int) -> FrontalPose:
    """The pose in true metres where the file's unit can be told."""
    guess, landmarks, residual = best.guess, best.landmarks, best.largest_angle
    right, left = (landmarks[corner] for corner in EYE_CORNERS)
    apart = float(np.linalg.norm(left - right)) / guess.scale
    off = {unit: abs(np.log(apart * metres / EYES_APART)) for unit, metres in UNITS.items()}
    unit = min(off, key=lambda name: off[name])
    if off[unit] > np.log(UNIT_TOLERANCE):
        return FrontalPose(guess, landmarks, 1.0, "", rounds, residual, best.misfit)
    to_metres = UNITS[unit] / guess.scale
    resized = Similarity(to_metres, np.eye(3), np.zeros(3)).after(guess)
    return FrontalPose(resized, landmarks * to_metres, 1 / to_metres, unit, rounds, residual, best.misfit)
