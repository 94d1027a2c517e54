from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray cluster for all tests: starting one takes seconds."""
    from facerecon_ray.pipeline.session import ray_session

    with ray_session():
        yield
