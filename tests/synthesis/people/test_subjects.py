import numpy as np
import pytest

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
        ([subject.age for subject in crowd if subject.age >= 18.0], 18.0, 85.0),
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


def test_people_differ_as_much_as_is_asked_for(geometry: HeadGeometry) -> None:
    def spread(shape_spread: float) -> float:
        sampled = SubjectSampler(SubjectSettings(shape_spread=shape_spread, age=(40.0, 41.0)), geometry=geometry)
        heads = np.stack([sampled.subject(seed).neutral for seed in range(6)])
        return float(np.linalg.norm(heads - heads.mean(0), axis=-1).mean())

    assert spread(0.0) < spread(0.5) < spread(1.5)


def test_adults_are_people_of_the_face_model(crowd: list[Subject]) -> None:
    adults = np.stack([subject.shape for subject in crowd if subject.age >= 18.0])
    assert 0.8 < adults.std(0).mean() < 1.3
    assert np.abs(adults.mean(0)).mean() < 0.35


def test_attributes_are_plain_values(crowd: list[Subject]) -> None:
    kinds = {type(value) for subject in crowd for value in subject.attributes.values()}
    assert kinds <= {str, float}
    assert len({tuple(subject.attributes) for subject in crowd}) == 1


def test_ages_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="the lower one first"):
        SubjectSettings(age=(60.0, 30.0))
