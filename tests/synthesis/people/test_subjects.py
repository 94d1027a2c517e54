import numpy as np
import pytest
from scipy.spatial import cKDTree

from facerecon_ray.config.synthesis import SubjectSettings
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.people.subjects import SubjectSampler


@pytest.fixture(scope="module")
def crowd(people: SubjectSampler) -> list[Subject]:
    return [people.subject(seed) for seed in range(150)]


def test_a_seed_is_a_person(people: SubjectSampler, crowd: list[Subject]) -> None:
    again = people.subject(7)
    np.testing.assert_array_equal(again.vertices, crowd[7].vertices)
    assert again.attributes == crowd[7].attributes
    assert again.rng("hair").random() == crowd[7].rng("hair").random() != again.rng("skin").random()
    assert np.linalg.norm(crowd[8].neutral - crowd[7].neutral, axis=1).mean() > 0.001
    people.subject(2**64 - 1)


def test_gender_age_and_ancestry_are_even(crowd: list[Subject]) -> None:
    for values, low, high in (
        ([subject.gender for subject in crowd], 0.0, 1.0),
        ([subject.age for subject in crowd], 18.0, 85.0),
    ):
        ranks = np.sort((np.array(values) - low) / (high - low))
        assert np.abs(ranks - (np.arange(len(ranks)) + 0.5) / len(ranks)).max() < 1.63 / np.sqrt(len(ranks)) + 0.01
    ancestry = np.array([subject.ancestry for subject in crowd])
    np.testing.assert_allclose(ancestry.sum(1), 1.0)
    assert np.abs(ancestry.mean(0) - 1 / 3).max() < 0.1


def test_children_are_there_on_demand_and_smaller(geometry: HeadGeometry, crowd: list[Subject]) -> None:
    young = SubjectSampler(SubjectSettings(children_share=1.0), geometry=geometry)
    children = [young.subject(seed) for seed in range(12)]
    assert all(3.0 <= child.age <= 17.0 and child.looks.beard is None for child in children)
    size = [np.ptp(subject.neutral[:, 1]) for subject in children]
    assert np.median(size) < np.median([np.ptp(subject.neutral[:, 1]) for subject in crowd]) - 0.005


def test_left_and_right_differ_as_much_as_is_asked_for(geometry: HeadGeometry) -> None:
    def unevenness(asymmetry: float) -> float:
        sampled = SubjectSampler(SubjectSettings(asymmetry=asymmetry), geometry=geometry)
        average = geometry.average
        pairs = cKDTree(average).query(average * (-1, 1, 1))[1]
        heads = [sampled.subject(seed).neutral for seed in range(4)]
        return float(np.mean([np.linalg.norm(head[pairs] * (-1, 1, 1) - head, axis=1).mean() for head in heads]))

    assert unevenness(0.0) < unevenness(0.08) < unevenness(0.3)


def test_attributes_are_plain_values(crowd: list[Subject]) -> None:
    kinds = {type(value) for subject in crowd for value in subject.attributes.values()}
    assert kinds <= {str, float}
    assert len({tuple(subject.attributes) for subject in crowd}) == 1


def test_ages_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="the lower one first"):
        SubjectSettings(age=(60.0, 30.0))
