import sys
from pathlib import Path

import pytest

from facerecon_ray.config.reconstruct import CropSettings, ReadSettings
from facerecon_ray.stages.two_photos.crop import TwoPhotoCropper

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def cropper() -> TwoPhotoCropper:
    return TwoPhotoCropper(CropSettings(device="cpu"), ReadSettings())
