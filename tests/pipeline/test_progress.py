import io
import itertools
import time

import pytest
from rich.console import Console

from facerecon_ray.pipeline.progress import show_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on by one second whenever somebody looks."""
    monkeypatch.setattr(time, "monotonic", itertools.count(100.0, 1.0).__next__)


def test_without_a_terminal_there_is_a_plain_line_now_and_then():
    text = io.StringIO()
    with show_progress(100, Console(file=text)) as progress:
        for _ in range(100):
            progress.add(photos=1, faces=2, failed=0)
    assert text.getvalue().splitlines() == ["1/100 photos, 2 faces, 0 failed", "100/100 photos, 200 faces, 0 failed"]


@pytest.mark.usefixtures("clock")
def test_speed_leaves_out_the_start_and_gives_the_time_left():
    with show_progress(3600, Console(file=io.StringIO())) as progress:
        progress.add(photos=1000, faces=1000, failed=0)
        assert progress.rates() is None
        progress.add(photos=20, faces=10, failed=10)
        photos_per_second, faces_per_second = progress.rates() or (0.0, 0.0)
        assert photos_per_second == 2 * faces_per_second < 20
        assert progress.speed().endswith(" left")


def test_on_a_terminal_there_is_a_bar_with_counts():
    text = io.StringIO()
    with show_progress(4, Console(file=text, force_terminal=True, width=150)) as progress:
        progress.add(photos=3, faces=5, failed=1)
    assert "3/4" in text.getvalue() and "5 faces" in text.getvalue() and "1 failed" in text.getvalue()
