from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.geometry.fitting import Fit, LandmarkFitter, box_size
from facerecon_ray.geometry.landmarks import LandmarkModel, projected_landmarks
from facerecon_ray.geometry.lens import USUAL_DISTANCE, Lens
from facerecon_ray.geometry.point_noise import PointNoise
from facerecon_ray.geometry.pose import Camera


def _cameras(count: int, widest: float, rng: np.random.Generator) -> Camera:
    angles = rng.uniform([-widest, -15, -15], [widest, 15, 15], (count, 3)).astype(np.float32)
    scale = rng.uniform(700, 1100, count).astype(np.float32)
    translation = rng.uniform(110, 140, (count, 2)).astype(np.float32)
    return Camera(torch.from_numpy(angles), torch.from_numpy(scale), torch.from_numpy(translation))


def _people(model: FaceModel, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    shape = torch.from_numpy(rng.normal(0, 1, (count, model.shape_size)).astype(np.float32))
    expression = torch.from_numpy(rng.exponential(0.4, (count, model.expression_size)).astype(np.float32))
    return shape, expression.clamp(max=model.expression_range[1].item())


def test_pose_of_the_mean_face_is_recovered_to_half_a_degree() -> None:
    model = FaceModel.default()
    camera = _cameras(32, 60, np.random.default_rng(0))
    landmarks = projected_landmarks(model, model.mean.expand(32, -1, -1), camera)
    fit = LandmarkFitter(model)(landmarks[..., :2])
    assert (fit.camera.angles - camera.angles).abs().max() < 0.5
    assert ((fit.camera.scale - camera.scale).abs() / camera.scale).max() < 0.01


def test_exact_landmarks_recover_at_least_half_of_what_tells_a_person_from_the_mean() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(1)
    shape, expression = _people(model, 60, rng)
    vertices = model.vertices(shape, expression)
    camera = _cameras(60, 30, rng)
    fit = LandmarkFitter(model)(projected_landmarks(model, vertices, camera)[..., :2])
    assert _recovered(model, fit, vertices.numpy()) > 0.5


def _recovered(model: FaceModel, fit: Fit, truth: np.ndarray) -> float:
    """Share of the mean head's error that the fit takes away, after similarity alignment of the face region."""
    from facerecon_ray.geometry.alignment import align, apply_alignment

    face = model.face_vertices.numpy()
    target = truth[:, face]

    def distance(heads: np.ndarray) -> float:
        moved = apply_alignment(heads[:, face], *align(heads[:, face], target))
        return float(np.linalg.norm(moved - target, axis=-1).mean())

    mean = np.broadcast_to(model.mean.numpy(), truth.shape)
    return 1 - distance(model.vertices(fit.shape, fit.expression).numpy()) / distance(mean)


def test_projected_landmarks_of_the_fit_lie_on_the_given_ones() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(2)
    shape, expression = _people(model, 16, rng)
    landmarks = projected_landmarks(model, model.vertices(shape, expression), _cameras(16, 40, rng))[..., :2]
    fit = LandmarkFitter(model)(landmarks)
    distance = (fit.projected[..., :2] - landmarks).norm(dim=-1).mean(-1) / box_size(landmarks)
    torch.testing.assert_close(fit.error, distance)
    assert fit.error.max() < 0.015


def test_noise_is_how_much_worse_than_usual_the_landmarks_are() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(12)
    exact = projected_landmarks(model, model.vertices(*_people(model, 40, rng)), _cameras(40, 30, rng))[..., :2]
    drawn = np.linalg.cholesky(model.landmark_noise.double().numpy()) @ rng.standard_normal((136, 40))
    errors = torch.from_numpy(drawn.T.reshape(40, 68, 2).astype(np.float32)) * box_size(exact)[:, None, None]
    usual, worse = (LandmarkFitter(model)(exact + factor * errors).noise for factor in (1.0, 4.0))
    assert abs(usual.median() - 1.0) < 0.2
    assert abs(worse.median() - 4.0) < 0.8


def test_fit_scales_with_the_picture() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(3)
    landmarks = projected_landmarks(model, model.vertices(*_people(model, 4, rng)), _cameras(4, 30, rng))[..., :2]
    small, large = LandmarkFitter(model)(landmarks), LandmarkFitter(model)(landmarks * 3)
    torch.testing.assert_close(large.camera.angles, small.camera.angles, atol=0.05, rtol=0)
    torch.testing.assert_close(large.camera.scale, small.camera.scale * 3, rtol=1e-3, atol=0)
    torch.testing.assert_close(large.shape, small.shape, atol=0.02, rtol=0)


def test_a_face_is_fitted_the_same_alone_and_in_a_batch() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(4)
    landmarks = projected_landmarks(model, model.vertices(*_people(model, 5, rng)), _cameras(5, 30, rng))[..., :2]
    together, alone = LandmarkFitter(model)(landmarks), LandmarkFitter(model)(landmarks[2:3])
    torch.testing.assert_close(alone.shape[0], together.shape[2], atol=1e-3, rtol=0)


def test_expression_stays_in_its_range() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(5)
    landmarks = torch.from_numpy(rng.uniform(40, 200, (3, 68, 2)).astype(np.float32))
    fit = LandmarkFitter(model)(landmarks)
    low, high = model.expression_range.tolist()
    assert fit.expression.min() >= low
    assert fit.expression.max() <= high
    assert torch.isfinite(fit.shape).all()


def test_without_an_expectation_it_is_the_mean_face() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(6)
    landmarks = projected_landmarks(model, model.vertices(*_people(model, 3, rng)), _cameras(3, 30, rng))[..., :2]
    size = model.shape_size + model.expression_size
    plain, told = LandmarkFitter(model), LandmarkFitter(model, coefficient_noise=torch.eye(size))
    torch.testing.assert_close(told(landmarks, expected=torch.zeros(3, size)).shape, plain(landmarks).shape)


def test_what_is_expected_surely_is_kept_and_what_is_expected_vaguely_is_left_to_the_landmarks() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(7)
    shape, expression = _people(model, 8, rng)
    landmarks = projected_landmarks(model, model.vertices(shape, expression), _cameras(8, 30, rng))[..., :2]
    other = torch.cat(_people(model, 8, rng), 1)
    size = other.shape[1]

    def found(noise: float, expected: torch.Tensor) -> torch.Tensor:
        fit = LandmarkFitter(model, coefficient_noise=noise * torch.eye(size))(landmarks, expected=expected)
        return torch.cat([fit.shape, fit.expression], 1)

    assert (found(1e-6, other) - other).abs().max() < 0.05
    assert (found(1.0, other) - other).abs().max() > 1.0


def test_a_good_guess_of_the_coefficients_brings_the_fit_nearer_to_the_person() -> None:
    model = FaceModel.default()
    rng = np.random.default_rng(8)
    shape, expression = _people(model, 40, rng)
    vertices = model.vertices(shape, expression)
    marks = projected_landmarks(model, vertices, _cameras(40, 30, rng))[..., :2]
    marks = marks + 0.02 * box_size(marks)[:, None, None] * torch.from_numpy(rng.normal(size=(40, 68, 2))).float()
    truth = torch.cat([shape, expression], 1)
    noise = 0.25 * torch.eye(truth.shape[1])
    guess = truth + 0.5 * torch.from_numpy(rng.normal(size=tuple(truth.shape))).float()
    alone = _recovered(model, LandmarkFitter(model)(marks), vertices.numpy())
    told = LandmarkFitter(model, coefficient_noise=noise)(marks, expected=guess)
    assert _recovered(model, told, vertices.numpy()) > alone + 0.1


@cache
def _dense_model() -> FaceModel:
    model = FaceModel.default()
    return replace(model, dense_landmarks=model.face_vertices[::10])


def _independent(points: int) -> PointNoise:
    return PointNoise(torch.zeros(2 * points, 1, dtype=torch.float64), torch.ones(2 * points, dtype=torch.float64))


@cache
def _selfies() -> tuple[torch.Tensor, Camera, torch.Tensor, torch.Tensor]:
    """Heads, their cameras at arm's length, dense points with errors, and the errors' deviations."""
    model, rng, count = _dense_model(), np.random.default_rng(20), 24
    shape, expression = _people(model, count, rng)
    ray = torch.from_numpy(rng.uniform(-0.3, 0.3, (count, 2)).astype(np.float32))
    distance = torch.from_numpy(rng.uniform(0.3, 0.6, count).astype(np.float32))
    camera = replace(_cameras(count, 40, rng), nearness=1 / distance, ray=ray)
    landmarks = LandmarkModel.of(model, dense=True)
    candidates = landmarks.points(torch.cat([shape, expression], 1))
    chosen = landmarks.choose(candidates, camera.angles)
    exact = camera.project(candidates.gather(1, chosen[..., None].expand(-1, -1, 3)))[..., :2]
    deviation = 0.01 * box_size(exact[:, :68])[:, None] * torch.ones(exact.shape[:2])
    errors = torch.from_numpy(rng.standard_normal(tuple(exact.shape)).astype(np.float32)) * deviation[..., None]
    return model.vertices(shape, expression), camera, exact + errors, deviation


def _known_lens(camera: Camera) -> Lens:
    return Lens(camera.scale / camera.nearness, camera.ray)


def test_dense_points_bring_the_fit_nearer_to_the_person_than_68() -> None:
    heads, camera, points, deviation = _selfies()
    model = _dense_model()
    lens = _known_lens(camera)
    few = LandmarkFitter(model, _independent(68))(points[:, :68], deviation[:, :68], lens=lens)
    many = LandmarkFitter(model, _independent(points.shape[1]))(points, deviation, lens=lens)
    assert _recovered(model, many, heads.numpy()) > _recovered(model, few, heads.numpy()) + 0.1


def test_near_faces_are_better_known_with_perspective_and_best_with_the_photos_lens() -> None:
    heads, camera, points, deviation = _selfies()
    fit = LandmarkFitter(_dense_model(), _independent(points.shape[1]))
    known = {"far": None, "free": Lens.unknown(len(points)), "lens": _known_lens(camera)}
    fits = {name: fit(points, deviation, lens=lens) for name, lens in known.items()}
    far, free, told = (_recovered(_dense_model(), fits[name], heads.numpy()) for name in ("far", "free", "lens"))
    assert free > far + 0.05 and told > free + 0.02
    assert not fits["far"].camera.nearness.any()
    off = {name: (fits[name].camera.nearness / camera.nearness).log().abs().median() for name in ("free", "lens")}
    assert off["lens"] < 0.08 and off["free"] < 0.5
    turned = {name: (result.camera.angles - camera.angles).abs().mean() for name, result in fits.items()}
    assert turned["lens"] < 0.7 * turned["far"]
    assert torch.equal(fits["lens"].camera.ray, camera.ray)


def test_far_faces_are_fitted_at_the_usual_distance_where_nothing_tells_it() -> None:
    model, rng = FaceModel.default(), np.random.default_rng(21)
    marks = projected_landmarks(model, model.mean.expand(8, -1, -1), _cameras(8, 5, rng))[..., :2]
    distance = 1 / LandmarkFitter(model)(marks, lens=Lens.unknown(8)).camera.nearness
    assert bool((distance > USUAL_DISTANCE / 1.5).all())


def test_a_known_start_leads_to_the_same_face() -> None:
    _, camera, points, deviation = _selfies()
    fit = LandmarkFitter(_dense_model(), _independent(points.shape[1]))
    near = Camera(camera.angles + 3.0, camera.scale * 1.03, camera.translation + 2.0)
    alone, started = (fit(points, deviation, start=start, lens=_known_lens(camera)) for start in (None, near))
    assert (alone.camera.angles - started.camera.angles).abs().max() < 0.5
    moved = _dense_model().vertices(alone.shape - started.shape, alone.expression - started.expression)
    assert (moved - _dense_model().mean).norm(dim=-1).mean() < 0.0005


def test_a_point_that_is_said_to_be_uncertain_is_not_followed() -> None:
    _, camera, points, deviation = _selfies()
    fit, lens = LandmarkFitter(_dense_model(), _independent(points.shape[1])), _known_lens(camera)
    astray, doubted = points.clone(), deviation.clone()
    astray[:, 30:40] += 25.0
    doubted[:, 30:40] *= 100.0
    right, wrong, aware = (
        fit(points, deviation, lens=lens),
        fit(astray, deviation, lens=lens),
        fit(astray, doubted, lens=lens),
    )
    off = [(result.projected - right.projected).norm(dim=-1).mean() for result in (wrong, aware)]
    assert off[1] < 0.3 * off[0]


def test_landmarks_lie_between_the_models_and_the_found_ones_nearer_to_whichever_is_surer() -> None:
    heads, camera, points, deviation = _selfies()
    exact = projected_landmarks(_dense_model(), heads, camera)[..., :2]
    fit = LandmarkFitter(_dense_model(), _independent(68))
    for factor, least, most in ((0.1, 0.7, 1.0), (5.0, 0.0, 0.1)):
        found = exact + factor * (points[:, :68] - exact)
        result = fit(found, factor * deviation[:, :68], lens=_known_lens(camera))
        way = found - result.projected[..., :2]
        share = (result.landmarks - result.projected)[..., :2].norm(dim=-1) / way.norm(dim=-1)
        assert least < share.median() <= most
        assert torch.equal(result.landmarks[..., 2], result.projected[..., 2])


def test_points_of_another_number_than_the_noise_has_are_refused() -> None:
    with pytest.raises(ValueError, match="noise is of 70 points, the face model has 68 landmarks and 600 dense ones"):
        LandmarkFitter(FaceModel.default(), _independent(70))
    with pytest.raises(ValueError, match="67 points are given, the noise is of 68"):
        LandmarkFitter(FaceModel.default())(torch.rand(1, 67, 2))
