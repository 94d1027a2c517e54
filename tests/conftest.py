import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Beside Ray's workers two cores have nothing left for more, and threads that wait for each other cost many times what
# they save. Libraries read it when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from s3_server import CREDENTIALS, S3Server

if TYPE_CHECKING:
    from facerecon_ray.storage.outputs import OutputFolder


@pytest.fixture(scope="session", autouse=True)
def children_heed_ctrl_c() -> None:
    """A process started in the background ignores SIGINT and hands that on to the jobs that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_s3_credentials() -> Iterator[None]:
    """Tests know only their own S3 server, as do the processes that they start."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in kept:
        del os.environ[name]
    os.environ.update(CREDENTIALS, AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull)
    yield
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(kept)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One Ray cluster for all tests: starting one takes seconds."""
    from facerecon_ray.jobs.session import ray_session

    with ray_session(runtime_environments=True):
        yield


@pytest.fixture(scope="session")
def seaweed() -> Iterator[S3Server]:
    """One S3 server for all tests; each takes a bucket of its own by `seaweed.bucket()`."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8, one face."""
    import skimage.data

    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def hopper() -> np.ndarray:
    """(512, 512, 3) uint8, one face."""
    import cv2
    import matplotlib

    path = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    return np.ascontiguousarray(cv2.imread(str(path))[:512, :512, ::-1])


@pytest.fixture(scope="session")
def pair(astronaut: np.ndarray, hopper: np.ndarray) -> np.ndarray:
    """(512, 640, 3) uint8, two faces."""
    return np.hstack([astronaut[:, 60:380], hopper[:, 100:420]])


@pytest.fixture(scope="session")
def page() -> np.ndarray:
    """(191, 384, 3) uint8, no face."""
    import skimage.data

    return skimage.data.page()[..., None].repeat(3, 2)


@pytest.fixture(params=["folder", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> "OutputFolder":
    """A job's output that is not there yet, on a disk and in a bucket."""
    from facerecon_ray.storage.outputs import OutputFolder

    if request.param == "folder":
        return OutputFolder(tmp_path / "out")
    seaweed: S3Server = request.getfixturevalue("seaweed")
    return OutputFolder(f"s3://{seaweed.bucket()}/out", seaweed.settings)
