import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evaluation_table", ROOT / "benchmarks/evaluation_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readmes_table_says_what_the_picture_shows(benchmark: ModuleType) -> None:
    figures = benchmark.figures_in((ROOT / "docs/evaluation.png").read_bytes())
    assert benchmark.table(figures) in (ROOT / "README.md").read_text()


def test_the_picture_is_the_chart_of_its_figures(benchmark: ModuleType, tmp_path: Path) -> None:
    picture = ROOT / "docs/evaluation.png"
    (tmp_path / "again.png").write_bytes(benchmark.chart(benchmark.figures_in(picture.read_bytes())))
    with Image.open(picture) as kept, Image.open(tmp_path / "again.png") as again:
        first, second = (np.asarray(image.convert("RGB")).astype(int) for image in (kept, again))
    assert first.shape == second.shape
    # Letters may be drawn a little differently elsewhere, lines may not.
    assert np.abs(first - second).mean() < 1.0
