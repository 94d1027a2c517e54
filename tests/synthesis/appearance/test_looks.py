import numpy as np

from facerecon_ray.config.synthesis import SubjectSettings
from facerecon_ray.synthesis.appearance.looks import HAIR_COLOURS, Looks, draw_looks

EUROPE, AFRICA = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)


def _many(gender: float, age: float, ancestry: tuple[float, float, float], **shares: float) -> list[Looks]:
    rng = np.random.default_rng(0)
    return [draw_looks(gender, age, ancestry, SubjectSettings(**shares), rng) for _ in range(400)]


def test_skin_covers_the_whole_range_around_what_is_usual() -> None:
    fair, dark = (np.array([looks.melanin for looks in _many(0.5, 40.0, kin)]) for kin in (EUROPE, AFRICA))
    assert np.median(fair) < 0.3 < 0.55 < np.median(dark)
    assert fair.max() > 0.9
    assert dark.min() < 0.2


def test_shares_are_kept() -> None:
    men = _many(0.0, 40.0, EUROPE, beard_share=0.3, glasses_share=0.5, headwear_share=0.25)
    assert abs(np.mean([looks.beard is not None for looks in men]) - 0.3) < 0.06
    assert abs(np.mean([looks.glasses is not None for looks in men]) - 0.5) < 0.08
    assert abs(np.mean([looks.headwear is not None for looks in men]) - 0.25) < 0.06
    women = _many(1.0, 40.0, EUROPE, beard_share=1.0, make_up_share=1.0)
    assert np.mean([looks.beard is None and looks.make_up > 0.0 for looks in women]) > 0.98


def test_hair_turns_grey_with_age() -> None:
    young, old = (np.mean([looks.grey for looks in _many(0.0, age, EUROPE)]) for age in (25.0, 80.0))
    assert young == 0.0
    assert old > 0.7


def test_dark_skin_goes_with_dark_hair_mostly() -> None:
    names = [looks.hair_colour_name for looks in _many(0.5, 30.0, AFRICA) if looks.melanin > 0.6]
    assert np.mean([name in ("black", "dark brown", "brown") for name in names]) > 0.9
    assert {looks.hair_colour_name for looks in _many(0.5, 30.0, EUROPE)} == set(HAIR_COLOURS)
