from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from facerecon_ray.errors import AssetError, InputError
from facerecon_ray.geometry.face_model import FaceModel, usual_landmark_noise
from facerecon_ray.geometry.landmarks import projected_landmarks
from facerecon_ray.geometry.pose import Camera
from facerecon_ray.synthesis.model_building.landmark_placement import (
    MIRRORED_LANDMARKS,
    SurfaceSamples,
    correct_landmarks,
    landmark_places,
    landmarks_of_another,
    measure_noise,
    place_landmarks,
    portrait_landmarks,
    with_landmarks,
)


def test_mirrored_landmarks_are_pairs_on_the_model_itself() -> None:
    assert sorted(MIRRORED_LANDMARKS) == list(range(68))
    np.testing.assert_array_equal(MIRRORED_LANDMARKS[MIRRORED_LANDMARKS], np.arange(68))
    places = landmark_places(FaceModel.default())
    mirrored = places[MIRRORED_LANDMARKS] * [-1, 1, 1]
    assert np.linalg.norm(places - mirrored, axis=1).max() < 0.003


def test_landmarks_are_put_where_they_are_told_to_be() -> None:
    model = FaceModel.default()
    places = landmark_places(model)
    moved = places + [0.0, 0.002, 0.0]
    again = landmark_places(with_landmarks(model, moved, SurfaceSamples.of(model)))
    assert np.linalg.norm(again - moved, axis=1).mean() < 0.001


def test_rendered_heads_point_at_the_places_that_the_model_has() -> None:
    model = FaceModel.default()
    placed = landmark_places(place_landmarks(model, 12, np.random.default_rng(0)))
    distance = np.linalg.norm(placed - landmark_places(model), axis=1)
    assert np.median(distance[17:]) < 0.005
    assert distance[30] < 0.006, "the nose's tip is easy to find"


def test_noise_is_a_covariance_of_a_few_percent() -> None:
    noise = measure_noise(FaceModel.default(), 6, np.random.default_rng(0)).numpy()
    np.testing.assert_allclose(noise, noise.T, atol=1e-9)
    assert np.linalg.eigvalsh(noise).min() > 0
    deviation = np.sqrt(noise.diagonal())
    assert 0.005 < deviation.mean() < 0.06


def test_too_few_portraits_are_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no portrait")
    with pytest.raises(InputError, match="0 portraits, at least 50"):
        portrait_landmarks(tmp_path)


def test_brows_that_lie_too_high_are_not_taken_for_raised_ones() -> None:
    model = FaceModel.default()
    torch.manual_seed(0)
    angles = torch.randn(60, 3) * torch.tensor([5.0, 4.0, 3.0])
    camera = Camera(angles, torch.full((60,), 1500.0), torch.full((60, 2), 200.0))
    people = model.vertices(torch.randn(60, model.shape_size), torch.zeros(60, model.expression_size))
    seen = projected_landmarks(model, people, camera)[..., :2].numpy()
    true = landmark_places(model)
    places = true.copy()
    places[17:27, 1] += 0.005
    too_high = with_landmarks(model, places, SurfaceSamples.of(model))
    corrected = landmark_places(correct_landmarks(too_high, seen))
    assert np.abs(corrected - true)[17:27, 1].mean() < 0.0012
    assert np.abs(corrected - true)[27:48].max() < 0.002


def test_landmarks_of_another_model_are_the_same_points_of_the_skin() -> None:
    model = FaceModel.default()
    wider = replace(model, mean=model.mean * torch.tensor([1.05, 1.0, 1.0]), landmark_noise=usual_landmark_noise())
    taken = landmarks_of_another(wider, model)
    expected = landmark_places(model) * [1.05, 1.0, 1.0]
    assert np.linalg.norm(landmark_places(taken) - expected, axis=1).mean() < 0.0007
    assert torch.equal(taken.landmark_noise, model.landmark_noise)
    cut = replace(model, mean=model.mean[:100])
    with pytest.raises(AssetError, match=f"100 vertices do not fit a model with {len(model.mean)}"):
        landmarks_of_another(wider, cut)
