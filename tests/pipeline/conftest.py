import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ray import cloudpickle

sys.path.insert(0, str(Path(__file__).parent))
import toy_stages

cloudpickle.register_pickle_by_value(toy_stages)


@pytest.fixture
def toy_photos(tmp_path: Path) -> Callable[..., Path]:
    """Write toy photos into a folder: toy_photos(a="faces=1", ...) makes photos/a.jpg and so on."""

    def write(**contents: str) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir(exist_ok=True)
        for name, text in contents.items():
            (folder / f"{name}.jpg").write_text(text)
        return folder

    return write
