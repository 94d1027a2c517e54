import numpy as np

from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.expressions import EXPRESSIONS, ONE_SIDED, draw_expression


def test_every_expression_is_made_of_anny_actions(sampler: HeadSampler) -> None:
    rng, seen = np.random.default_rng(0), set()
    for _ in range(2000):
        name, actions = draw_expression(0.0, rng)
        seen.add(name)
        assert set(actions) <= set(sampler.action_names)
        assert all(0.0 <= strength <= 1.0 for strength in actions.values())
    assert seen == set(EXPRESSIONS) | set(ONE_SIDED)


def test_neutral_faces_are_as_common_as_asked_and_only_look_about() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_expression(0.3, rng) for _ in range(1000)]
    neutral = [actions for name, actions in drawn if name == "neutral"]
    assert abs(len(neutral) / 1000 - 0.3) < 0.05
    assert all(action.startswith("eye") for actions in neutral for action in actions)
    assert draw_expression(1.0, rng)[0] == "neutral"


def test_both_eyes_look_the_same_way() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        actions = draw_expression(1.0, rng)[1]
        assert not {"eyeLookOutLeft", "eyeLookOutRight"} <= set(actions), "one eye to each side"
