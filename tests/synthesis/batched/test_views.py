import itertools

import numpy as np
import pytest
import torch

from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.synthesis.batched.views import ViewStream
from facerecon_ray.synthesis.rendering.view_sampling import ViewSampler


def test_views_are_those_of_the_sampler_in_the_bins_in_turn() -> None:
    job = SynthesisJob(output="unused")
    batches = list(itertools.islice(ViewStream(job, rows=10, seed=3), 2))
    alone = ViewSampler(job.views, job.light, job.camera, job.occluders).view(3 * 10 + 9, 1)
    assert [batch.seed for batch in batches] == [3, 4]
    assert torch.equal(batches[0].angles[9], torch.tensor(alone.angles))
    assert float(batches[0].effects["contrast"][9]) == np.float32(alone.camera.contrast)
    assert batches[0].lamp_colours[9, : len(alone.light.lamp_widths)].tolist() == alone.light.lamp_colours.tolist()
    assert not torch.equal(batches[0].angles, batches[1].angles)


@pytest.mark.slow
def test_processes_that_draw_ahead_give_the_same_views_in_order() -> None:
    job = SynthesisJob(output="unused")
    stream = ViewStream(job, rows=4, seed=1, processes=1)
    ahead = list(itertools.islice(stream, 3))
    stream.close()
    for one, other in zip(ahead, ViewStream(job, rows=4, seed=1), strict=False):
        assert torch.equal(one.angles, other.angles) and torch.equal(one.environment, other.environment)
