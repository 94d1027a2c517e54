import pytest

from facerecon_ray.synthesis.anny_heads import HeadSampler
from facerecon_ray.synthesis.head_topology import HeadTopology, build_head_topology


@pytest.fixture(scope="session")
def sampler() -> HeadSampler:
    """Loading anny takes seconds, and about a minute the first time after an installation."""
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    return HeadSampler()


@pytest.fixture(scope="session")
def topology(sampler: HeadSampler) -> HeadTopology:
    return build_head_topology(sampler.average(), sampler.triangles)
