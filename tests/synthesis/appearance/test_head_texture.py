from dataclasses import replace

import numpy as np
import pytest

from facerecon_ray.synthesis.appearance.head_texture import SkinPainter
from facerecon_ray.synthesis.people.head_geometry import ISLANDS, HeadGeometry
from facerecon_ray.synthesis.people.person import Subject
from facerecon_ray.synthesis.people.subjects import SubjectSampler


@pytest.fixture(scope="module")
def painter(people: SubjectSampler) -> SkinPainter:
    return people.dresser._skin


@pytest.fixture(scope="module")
def subject(people: SubjectSampler) -> Subject:
    subject = people.subject(11)
    return replace(subject, looks=replace(subject.looks, melanin=0.2, beard=None, make_up=0.0, hair="bald"))


def _around(picture: np.ndarray, geometry: HeadGeometry, places: np.ndarray) -> np.ndarray:
    """Mean colour of 5 x 5 texels around each place."""
    columns, rows = geometry.maps.texels_of(places).astype(int).T
    return np.mean([picture[r - 2 : r + 3, c - 2 : c + 3].mean((0, 1)) for r, c in zip(rows, columns, strict=True)], 0)


def test_more_melanin_is_darker_and_stays_skin(painter: SkinPainter, subject: Subject, geometry: HeadGeometry) -> None:
    cheeks = geometry.landmarks[[2, 14]] * 0.7 + geometry.landmarks[[31, 35]] * 0.3
    tones = []
    for melanin in (0.0, 0.25, 0.5, 0.75, 1.0):
        looks = replace(subject.looks, melanin=melanin)
        tones.append(_around(painter(replace(subject, looks=looks)), geometry, cheeks))
    assert (np.diff(np.array(tones), axis=0) < -5).all()
    assert all(red > green > blue for red, green, blue in tones)
    assert tones[0].mean() > 170
    assert tones[-1].mean() < 75


def test_lips_are_redder_and_brows_darker_than_the_skin(
    painter: SkinPainter, subject: Subject, geometry: HeadGeometry
) -> None:
    marks, picture = geometry.landmarks, painter(subject)
    lips = _around(picture, geometry, (marks[[51, 57]] + marks[[62, 66]]) / 2)
    brows = _around(picture, geometry, marks[[19, 24]] - (0.0, 0.0085, 0.0))
    forehead = _around(picture, geometry, marks[[19, 24]] + (0.0, 0.018, 0.0))
    assert lips[0] / lips[1] > 1.1 * forehead[0] / forehead[1]
    assert brows.mean() < 0.85 * forehead.mean()


def test_nostrils_are_dark_holes_and_the_skin_around_them_is_not(
    painter: SkinPainter, subject: Subject, geometry: HeadGeometry
) -> None:
    maps, marks = geometry.maps, geometry.landmarks
    brightness = painter(subject).astype(float).mean(-1)
    tip = _around(painter(subject), geometry, marks[[30]]).mean()
    for side in (-1, 1):
        near = np.abs(maps.place - (marks[33] * (0, 1, 1) + (side * 0.008, 0.004, 0.0))).max(-1) < 0.012
        near &= maps.island == ISLANDS.index("head")
        dark = near & (brightness < 0.4 * tip)
        assert 8 < dark.sum() < 0.3 * near.sum()
        assert (maps.normal[dark, 1] < -0.4).all()
        assert (side * maps.place[dark, 0] > 0.002).all()


def test_a_beard_grows_below_the_nose_and_not_on_lips_or_forehead(
    painter: SkinPainter, subject: Subject, geometry: HeadGeometry
) -> None:
    bearded = replace(subject, looks=replace(subject.looks, beard="full"))
    density = painter.beard_density(bearded)[..., None]
    marks = geometry.landmarks
    assert _around(density, geometry, marks[[6, 7, 8, 9, 10]]) > 0.7
    assert _around(density, geometry, (marks[[51, 57]] + marks[[62, 66]]) / 2) < 0.2
    assert _around(density, geometry, marks[17:31]) < 0.02


def test_wrinkles_come_with_age(painter: SkinPainter, subject: Subject, geometry: HeadGeometry) -> None:
    place = geometry.maps.place
    forehead = (
        (geometry.maps.island == ISLANDS.index("head"))
        & (np.abs(place[..., 0]) < 0.035)
        & (place[..., 1] > 0.062)
        & (place[..., 1] < 0.085)
        & (place[..., 2] > 0.0)
    )

    def roughness(age: float) -> float:
        grey = painter(replace(subject, age=age)).astype(float).mean(-1)
        steps = np.abs(grey[2:] - 2 * grey[1:-1] + grey[:-2])
        return float(steps[forehead[1:-1]].mean() / grey[forehead].mean())

    assert roughness(80.0) > 1.1 * roughness(20.0)
