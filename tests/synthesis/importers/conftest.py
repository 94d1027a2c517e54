import sys
from pathlib import Path

import pytest

from facerecon_ray.geometry.face_model import FaceModel
from facerecon_ray.synthesis.model_building.head_rendering import HeadRenderer

sys.path.insert(0, str(Path(__file__).parent))

from foreign_files import Basel, Writer300wlp, WriterFaceGen, write_basel


@pytest.fixture(scope="session")
def basel(tmp_path_factory: pytest.TempPathFactory) -> Basel:
    return write_basel(tmp_path_factory.mktemp("basel"))


@pytest.fixture(scope="session")
def paint() -> HeadRenderer:
    """Renders heads of the embedded model's topology."""
    return HeadRenderer(FaceModel.default())


@pytest.fixture
def write_300wlp(basel: Basel, paint: HeadRenderer, tmp_path: Path) -> Writer300wlp:
    return Writer300wlp(basel, paint, tmp_path / "300W_LP")


@pytest.fixture
def write_facegen(paint: HeadRenderer, tmp_path: Path) -> WriterFaceGen:
    return WriterFaceGen(paint, tmp_path / "facegen")
