from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, box_size, with_known_shape
from facerecon_ray.geometry.landmarks import LandmarkModel, projected_landmarks
from facerecon_ray.geometry.pose import MODEL_TO_IMAGE_AXES, Camera, angles_from_rotation, rotation_from_angles
from facerecon_ray.geometry.shape_of_person import LANDMARK_ERROR, ShapeEvidence, packed

MODEL = FaceModel.default()
PEOPLE = 40


def fits(shape: torch.Tensor, yaw: float, seed: int) -> Fit:
    """Faces of these shapes at about one yaw, each with an expression of its own, fitted to landmarks with noise."""
    rng, count = np.random.default_rng(seed), len(shape)
    angles = rng.uniform([yaw - 8, -8, -8], [yaw + 8, 8, 8], (count, 3)).astype(np.float32)
    camera = Camera(torch.from_numpy(angles), torch.full((count,), 900.0), torch.full((count, 2), 128.0))
    expression = torch.from_numpy(rng.exponential(0.3, (count, MODEL.expression_size)).astype(np.float32))
    landmarks = projected_landmarks(MODEL, MODEL.vertices(shape, expression), camera)[..., :2]
    noise = torch.from_numpy(rng.normal(0, 0.012, landmarks.shape).astype(np.float32))
    return LandmarkFitter(MODEL)(landmarks + noise * box_size(landmarks)[:, None, None])


def people() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).normal(0, 1, (PEOPLE, MODEL.shape_size)).astype(np.float32))


def error(shape: torch.Tensor, truth: torch.Tensor) -> float:
    """Mean distance of neutral faces after similarity alignment, millimetres."""
    face, still = MODEL.face_vertices, torch.zeros(len(truth), MODEL.expression_size)
    found, wanted = (MODEL.vertices(coefficients, still)[:, face].numpy() for coefficients in (shape, truth))
    moved = apply_alignment(found, *align(found, wanted))
    return float(np.linalg.norm(moved - wanted, axis=-1).mean() * 1000)


def test_the_shape_of_one_photo_is_its_own_fit() -> None:
    fit = fits(people()[:4], 20.0, 1)
    assert torch.allclose(ShapeEvidence.of(MODEL, fit).shape, fit.shape, atol=1e-4)


def test_the_prior_counts_once_however_many_photos_there_are() -> None:
    """Photos that all tell the same shape come ever closer to it; each alone is shrunk as the only one."""
    shape = torch.full((2,), 2.0, dtype=torch.float64)
    information = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
    photo = ShapeEvidence(information, information @ shape)
    assert torch.allclose(photo.shape, torch.tensor([1.0, 1.5]))
    four = photo + photo + photo + photo
    assert torch.allclose(four.shape, torch.tensor([2.0 * 4 / 5, 2.0 * 12 / 13]))


def test_photos_are_added_up_by_person_in_any_order() -> None:
    evidence = ShapeEvidence.of(MODEL, fits(people()[:5], 40.0, 2))
    summed = evidence.by_person(torch.tensor([1, 0, 1, 1, 0]))
    one = [ShapeEvidence(evidence.information[row], evidence.weighted[row]) for row in range(5)]
    assert torch.allclose((one[3] + one[0] + one[2]).shape, summed.shape[1], atol=1e-5)
    assert torch.allclose((one[4] + one[1]).shape, summed.shape[0], atol=1e-5)


def test_a_front_and_a_side_together_come_closer_than_either_and_than_their_mean() -> None:
    truth = people()
    front, side = fits(truth, 0.0, 4), fits(truth, 60.0, 5)
    both = (ShapeEvidence.of(MODEL, front) + ShapeEvidence.of(MODEL, side)).shape
    errors = [error(shape, truth) for shape in (front.shape, side.shape, (front.shape + side.shape) / 2, both)]
    assert errors[3] < 0.9 * min(errors[:2])
    assert errors[3] < errors[2]


def test_a_profile_tells_more_of_depth_and_a_front_more_of_width() -> None:
    """How far each leaves the nose's length and the face's width open, by the covariance of what it tells."""
    steps = MODEL.landmark_corners[:, 0]
    nose, eyes = steps[30 - 17], steps[[36 - 17, 45 - 17]]
    length = MODEL.shape_basis[:, nose, 2] - MODEL.shape_basis[:, eyes, 2].mean(1)
    width = MODEL.shape_basis[:, eyes[1], 0] - MODEL.shape_basis[:, eyes[0], 0]
    spreads = []
    for yaw in (0.0, 80.0):
        information = ShapeEvidence.of(MODEL, fits(people()[:8], yaw, 6)).information
        covariance = torch.linalg.inv(torch.eye(MODEL.shape_size) + information)
        spreads.append([float((v.double() @ covariance @ v.double()).mean()) for v in (length, width)])
    assert spreads[1][0] < spreads[0][0]
    assert spreads[0][1] < spreads[1][1]


def test_a_face_whose_shape_is_known_keeps_it() -> None:
    truth = people()[:6]
    fit = fits(truth, 30.0, 7)
    size = MODEL.shape_size + MODEL.expression_size
    fitter = LandmarkFitter(MODEL, None, with_known_shape(torch.eye(size), MODEL.shape_size))
    expected = torch.cat([truth, torch.zeros_like(fit.expression)], 1)
    again = fitter(fit.landmarks[..., :2], start=fit.camera, expected=expected)
    assert (again.shape - truth).abs().max() < 0.05
    assert again.error.max() < 0.03


def test_stored_evidence_is_the_fit_alone_and_merges_like_the_exact_one() -> None:
    """In half precision, for any number of photos, to a thousandth of a standard deviation."""
    truth = people()[:6]
    photos = [fits(truth, yaw, 10 + seed) for seed, yaw in enumerate((0.0, 30.0, 60.0, 80.0))]
    exact = [ShapeEvidence.of(MODEL, fit) for fit in photos]
    stored = [
        ShapeEvidence.stored(fit.shape.numpy(), packed(evidence.information).numpy())
        for fit, evidence in zip(photos, exact, strict=True)
    ]
    assert torch.allclose(stored[0].shape, photos[0].shape, atol=1e-5)
    assert torch.linalg.eigvalsh(stored[3].information).min() > -1e-9
    together, merged = (evidence[0] + evidence[1] + evidence[2] + evidence[3] for evidence in (exact, stored))
    assert (merged.shape - together.shape).abs().max() < 1e-3
    assert (merged.shape - photos[0].shape).abs().max() > 0.1
    assert packed(exact[0].information).numpy().nbytes / len(truth) <= 16384


MOTIONS = 6


@dataclass(frozen=True)
class Observed:
    """Landmarks (68, 2) in one photo, with the pose and the places on the face at which they were made."""

    places: np.ndarray
    mean: np.ndarray
    basis: np.ndarray
    rotation: np.ndarray

    @property
    def noise(self) -> float:
        return LANDMARK_ERROR * float(np.ptp(self.places, 0).prod() ** 0.5)

    def turned(self, motion: np.ndarray) -> np.ndarray:
        return Rotation.from_rotvec(motion[:3]).as_matrix() @ self.rotation

    def missed(self, shape: np.ndarray, own: np.ndarray) -> np.ndarray:
        """By how many standard deviations landmarks lie beside those of a face, and its expression beside none."""
        motion, expression = own[:MOTIONS], own[MOTIONS:]
        points = self.mean + np.tensordot(np.concatenate([shape, expression]), self.basis, 1)
        seen = (points @ self.turned(motion).T * MODEL_TO_IMAGE_AXES)[:, :2]
        seen = 900.0 * np.exp(motion[3]) * seen + 128.0 + 100.0 * motion[4:6]
        return np.concatenate([((seen - self.places) / self.noise).ravel(), expression])


def jointly(photos: list[Observed]) -> tuple[np.ndarray, np.ndarray]:
    """Shape (S,) and the photos' own unknowns (N, 6 + E) that explain all photos best: one fit to all landmarks."""
    size, own = MODEL.shape_size, MOTIONS + MODEL.expression_size

    def residual(unknowns: np.ndarray) -> np.ndarray:
        shape, each = unknowns[:size], unknowns[size:].reshape(-1, own)
        return np.concatenate([shape, *(photo.missed(shape, one) for photo, one in zip(photos, each, strict=True))])

    found = least_squares(residual, np.zeros(size + own * len(photos)), method="lm", xtol=1e-12, ftol=1e-12).x
    return found[:size], found[size:].reshape(-1, own)


def observed(shape: np.ndarray, yaws: tuple[float, ...], rng: np.random.Generator) -> list[Observed]:
    """What photos at these yaws show of a person, each with an expression and a little noise."""
    landmarks = LandmarkModel.of(MODEL)
    photos = []
    for yaw in yaws:
        angles = torch.tensor([[yaw, *rng.uniform(-8, 8, 2)]], dtype=torch.float32)
        coefficients = np.concatenate([shape, rng.normal(0, 0.05, MODEL.expression_size)])
        points = landmarks.points(torch.from_numpy(coefficients[None].astype(np.float32)))
        chosen = landmarks.choose(points, angles)[0]
        photo = Observed(
            np.zeros((68, 2)),
            landmarks.mean[chosen].double().numpy(),
            landmarks.basis[:, chosen].double().numpy(),
            rotation_from_angles(angles)[0].double().numpy(),
        )
        places = photo.mean + np.tensordot(coefficients, photo.basis, 1)
        places = 900.0 * (places @ photo.rotation.T * MODEL_TO_IMAGE_AXES)[:, :2] + 128.0
        photos.append(replace(photo, places=places + rng.normal(0, 0.05, places.shape)))
    return photos


def as_fit(photo: Observed, shape: np.ndarray, own: np.ndarray) -> Fit:
    """A fit of one photo as the fitter gives it."""
    angles = angles_from_rotation(torch.from_numpy(photo.turned(own)[None].astype(np.float32)))
    scale, place = 900.0 * np.exp(own[3]), 128.0 + 100.0 * own[None, 4:6]
    camera = Camera(angles, torch.tensor([scale], dtype=torch.float32), torch.from_numpy(place.astype(np.float32)))
    one = torch.ones(1)
    places = torch.nn.functional.pad(torch.from_numpy(photo.places[None].astype(np.float32)), (0, 1))
    coefficients = (torch.from_numpy(values[None].astype(np.float32)) for values in (shape, own[MOTIONS:]))
    return Fit(camera, *coefficients, 0 * one, one, places, places)


def test_photos_merged_are_the_same_as_one_fit_to_all_of_their_landmarks() -> None:
    """A least-squares fit of another library's, of one shape and all poses and expressions at once."""
    rng = np.random.default_rng(5)
    photos = observed(rng.normal(0, 0.1, MODEL.shape_size), (0.0, 35.0, -60.0), rng)
    joint, _ = jointly(photos)
    alone = [jointly([photo]) for photo in photos]
    evidence = [
        ShapeEvidence.of(MODEL, as_fit(photo, shape, own[0]))
        for photo, (shape, own) in zip(photos, alone, strict=True)
    ]
    merged = (evidence[0] + evidence[1] + evidence[2]).shape[0].numpy()
    assert np.abs(merged - joint).max() < 1e-3
    assert max(np.abs(shape - joint).max() for shape, _ in alone) > 0.02
    assert np.abs(np.mean([shape for shape, _ in alone], 0) - joint).max() > 0.01
