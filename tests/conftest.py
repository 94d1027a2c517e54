import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def children_heed_ctrl_c() -> None:
    """A process started in the background ignores SIGINT and hands that on to the jobs that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray cluster for all tests: starting one takes seconds."""
    from facerecon_ray.pipeline.session import ray_session

    with ray_session():
        yield
