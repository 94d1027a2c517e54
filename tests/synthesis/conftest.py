import sys
from pathlib import Path

import pytest

from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.head_topology import HeadTopology, build_head_topology
from facerecon_ray.synthesis.people.subjects import SubjectSampler

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def sampler() -> HeadSampler:
    """Loading anny takes seconds, and about a minute the first time after an installation."""
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    return HeadSampler()


@pytest.fixture(scope="session")
def topology(sampler: HeadSampler) -> HeadTopology:
    return build_head_topology(sampler.average(), sampler.triangles)


@pytest.fixture(scope="session")
def geometry(sampler: HeadSampler) -> HeadGeometry:
    return HeadGeometry(sampler)


@pytest.fixture(scope="session")
def people(geometry: HeadGeometry) -> SubjectSampler:
    return SubjectSampler(geometry=geometry)
