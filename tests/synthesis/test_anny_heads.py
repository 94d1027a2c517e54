import numpy as np

from facerecon_ray.synthesis.anny_heads import HeadSampler


def test_same_seed_gives_the_same_heads_and_others_differ(sampler: HeadSampler) -> None:
    first, again = (sampler.shapes(4, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = sampler.shapes(4, np.random.default_rng(6))
    assert np.linalg.norm(first - other, axis=-1).mean() > 0.002


def test_actions_move_the_face_and_leave_the_neutral_head(sampler: HeadSampler) -> None:
    offsets = sampler.action_offsets()
    assert len(offsets) == len(sampler.action_names) == 52
    jaw = np.linalg.norm(offsets[sampler.action_names.index("jawOpen")], axis=-1)
    assert jaw.max() > 0.01
    assert (jaw < 1e-6).mean() > 0.2, "the skull stays"
    heads = sampler.expressive(6, np.random.default_rng(0))
    assert heads.actions.min() >= 0
    assert heads.actions.max() <= 1
    assert (heads.actions.max(1) > 0).any()
