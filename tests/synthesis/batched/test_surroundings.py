import torch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.synthesis.batched.surroundings import Surroundings


def test_things_lie_before_the_faces_of_occluded_rows_alone() -> None:
    job = SynthesisJob.model_validate({"output": "unused", "occluders": {"share": 1.0}})
    made = Surroundings.make(job, backgrounds=1, occluders=6)
    face = torch.tensor([[30.0, 20.0], [90.0, 20.0], [60.0, 110.0]]).expand(12, -1, -1)
    light, occluded = torch.full((12, 3, 128, 128), 0.5), torch.arange(12) % 2 == 0
    changed = (made.before(light, occluded, face, torch.Generator().manual_seed(1)) - light).abs().amax(1) > 0.02
    share = changed[:, 20:110, 30:90].float().mean((1, 2))
    assert not changed[~occluded].any()
    assert (share[occluded] > 0.005).all() and (share[occluded] < 0.8).all()


def test_a_background_is_seen_in_the_crop_where_the_photo_has_it() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).expand(3, 64, 64) * 4
    made = Surroundings(ramp[None], torch.zeros(0, 4, 1, 1).half(), torch.zeros(0, 2), torch.zeros(0))
    scale, shift = torch.tensor([0.5, 0.5]), torch.tensor([[-16.0, 0.0], [-16.0, 0.0]])
    light = made.behind(scale, shift, torch.full((2,), 320.0), 64, torch.Generator().manual_seed(0))
    first, last = light[:, 0, 5, 0], light[:, 0, 5, -1]
    # The crop shows photo columns 32 to 160: a tenth to a half of the background, from either side.
    for low, high in zip(first.tolist(), last.tolist(), strict=True):
        assert abs(low - high) > 0.02
        assert min(low, high) < 0.62
