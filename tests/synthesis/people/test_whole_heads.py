from dataclasses import replace

import numpy as np
import pytest
import torch

from facerecon_ray.errors import AssetError
from facerecon_ray.geometry.face_model import REGIONS, FaceModel
from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.head_topology import HeadTopology, fit_sphere
from facerecon_ray.synthesis.people.whole_heads import WholeHeads

MODEL = FaceModel.default()


@pytest.fixture(scope="module")
def heads(geometry: HeadGeometry) -> WholeHeads:
    return geometry.heads


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    return np.zeros(MODEL.shape_size)


def test_the_outside_of_a_head_is_the_face_models(heads: WholeHeads, geometry: HeadGeometry) -> None:
    shape = np.random.default_rng(0).standard_normal(MODEL.shape_size)
    full = float(MODEL.expression_range[1])
    expression = torch.zeros(1, MODEL.expression_size)
    expression[0, MODEL.expression_names.index("jawOpen")] = 0.7 * full
    expected = MODEL.vertices(torch.from_numpy(shape).float()[None], expression)[0].numpy()
    found = geometry.surface(heads.head(shape, {"jawOpen": 0.7}))
    distance = np.linalg.norm(found - expected, axis=1)
    skin = ~np.isin(MODEL.regions.numpy(), [REGIONS.index(name) for name in ("right_eye", "left_eye")])
    assert distance[skin].max() < 1e-5
    assert np.median(distance[~skin]) < 0.001, "eyes are spheres"


def test_what_lies_behind_the_lips_follows_them(heads: WholeHeads, geometry: HeadGeometry, still: np.ndarray) -> None:
    closed, opened = heads.head(still, {}), heads.head(still, {"jawOpen": 1.0})
    rim = geometry.topology.caps[2].rim
    gap = np.ptp(opened[rim, 1]) - np.ptp(closed[rim, 1])
    assert gap > 0.015
    inside = np.setdiff1d(np.unique(geometry.skin.source), geometry.topology.kept)
    moved = np.linalg.norm(opened[inside] - closed[inside], axis=1)
    assert 0.3 * gap < moved.max() < 2.5 * gap, "it stretches, and does not tear"
    tongue = np.unique(geometry.tongue.source)
    assert 0.0 < (closed[tongue, 1] - opened[tongue, 1]).mean() < gap
    assert opened[tongue, 2].max() < opened[rim, 2].max() - 0.008, "the tongue stays behind the teeth"


@pytest.mark.parametrize(
    ("action", "axis", "sign"),
    [
        ("eyeLookOutLeft", 0, 1.0),
        ("eyeLookInLeft", 0, -1.0),
        ("eyeLookUpLeft", 1, 1.0),
        ("eyeLookDownLeft", 1, -1.0),
    ],
)
def test_an_eye_looks_where_its_gaze_goes(
    action: str, axis: int, sign: float, heads: WholeHeads, geometry: HeadGeometry, still: np.ndarray
) -> None:
    ahead, looking = heads.head(still, {}), heads.head(still, {action: 1.0})
    ball = geometry.topology.caps[1].eyeball
    pupil = ball[ahead[ball, 2].argmax()]
    assert sign * (looking[pupil, axis] - ahead[pupil, axis]) > 0.003
    centres = [fit_sphere(head[None, ball].astype(float))[0] for head in (ahead, looking)]
    assert np.linalg.norm(centres[0] - centres[1]) < 1e-4, "it turns and does not move"
    right = geometry.topology.caps[0].eyeball
    np.testing.assert_array_equal(ahead[right], looking[right])


def test_children_are_smaller_and_rounder(heads: WholeHeads) -> None:
    kinds = {"african": 1 / 3, "asian": 1 / 3, "caucasian": 1 / 3}
    child, child_size = heads.kind({"age": 0.2, **kinds})
    adult, adult_size = heads.kind({"age": 0.8, **kinds})
    assert child_size < 0.93 < 0.99 < adult_size < 1.01
    assert np.abs(adult).max() < 0.1
    faces = MODEL.vertices(torch.from_numpy(np.stack([child, adult])).float(), torch.zeros(2, MODEL.expression_size))
    height = np.ptp(faces[:, MODEL.face_vertices, 1].numpy(), axis=1)
    width = np.ptp(faces[:, MODEL.face_vertices, 0].numpy(), axis=1)
    assert width[0] / height[0] > width[1] / height[1]


def test_models_that_heads_cannot_follow_are_refused(sampler: HeadSampler, topology: HeadTopology) -> None:
    with pytest.raises(AssetError, match="expressions have no names"):
        WholeHeads(sampler, topology, replace(MODEL, expression_names=()))
    with pytest.raises(AssetError, match="the face model has 100 vertices"):
        WholeHeads(sampler, topology, replace(MODEL, mean=MODEL.mean[:100]))
