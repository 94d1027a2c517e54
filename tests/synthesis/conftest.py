import sys
from pathlib import Path

import pytest

from facerecon_ray.synthesis.people.anny_heads import HeadSampler
from facerecon_ray.synthesis.people.head_geometry import HeadGeometry
from facerecon_ray.synthesis.people.head_topology import HeadTopology
from facerecon_ray.synthesis.people.subjects import SubjectSampler

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def people() -> SubjectSampler:
    """Loading anny takes seconds."""
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    return SubjectSampler()


@pytest.fixture(scope="session")
def geometry(people: SubjectSampler) -> HeadGeometry:
    return people.geometry


@pytest.fixture(scope="session")
def sampler(people: SubjectSampler) -> HeadSampler:
    return people.geometry.heads.sampler


@pytest.fixture(scope="session")
def topology(geometry: HeadGeometry) -> HeadTopology:
    return geometry.topology
