import numpy as np
import torch

from facerecon_ray.geometry.alignment import align, apply_alignment
from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, box_size, with_known_shape
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.geometry.shape_of_person import ShapeEvidence, packed

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
