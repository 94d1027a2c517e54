"""Public-domain photos that come with test dependencies."""

from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import skimage.data


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """(512, 512, 3) uint8, one face."""
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def hopper() -> np.ndarray:
    """(512, 512, 3) uint8, one face."""
    path = Path(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg")
    return np.ascontiguousarray(cv2.imread(str(path))[:512, :512, ::-1])


@pytest.fixture(scope="session")
def pair(astronaut: np.ndarray, hopper: np.ndarray) -> np.ndarray:
    """(512, 640, 3) uint8, two faces."""
    return np.hstack([astronaut[:, 60:380], hopper[:, 100:420]])


@pytest.fixture(scope="session")
def page() -> np.ndarray:
    """(191, 384, 3) uint8, no face."""
    return skimage.data.page()[..., None].repeat(3, 2)
