import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray import cloudpickle

sys.path.insert(0, str(Path(__file__).parent))
import toy_stages
from cluster_nodes import ClusterNodes

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


@pytest.fixture
def nodes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterNodes]:
    """Two nodes of one CPU each, or how many of how many the test says, for a driver in a process of its own."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # Ray takes a node for lost after five questions without an answer, 3 seconds apart if nothing else is said.
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    nodes = ClusterNodes(*getattr(request, "param", (2, 1)))
    monkeypatch.setenv("RAY_TMPDIR", str(nodes.folder))
    yield nodes
    nodes.stop()
