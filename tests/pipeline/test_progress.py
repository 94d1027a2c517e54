import io
import itertools
import time

import pytest
from rich.console import Console

from facerecon_ray.pipeline.progress import Timeline, show_progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time goes on by one second whenever somebody looks."""
    monkeypatch.setattr(time, "monotonic", itertools.count(100.0, 1.0).__next__)


def lines(text: io.StringIO) -> list[dict[str, str]]:
    return [dict(pair.split("=") for pair in line.split()) for line in text.getvalue().splitlines()]


def test_without_a_terminal_there_is_a_line_now_and_then_that_a_program_can_read():
    text = io.StringIO()
    with show_progress(100, Console(file=text)) as progress:
        for _ in range(100):
            progress.add(photos=1, faces=2, failed=0)
    first, last = lines(text)
    assert first.pop("time") <= last.pop("time")
    assert first == {"event": "progress", "photos": "1", "total": "100", "faces": "2", "failed": "0"}
    assert last == {"event": "progress", "photos": "100", "total": "100", "faces": "200", "failed": "0"}


@pytest.mark.usefixtures("clock")
def test_seconds_between_lines_are_a_setting():
    text = io.StringIO()
    with show_progress(None, Console(file=text), seconds=0.5) as progress:
        for _ in range(5):
            progress.add(photos=1, faces=1, failed=1)
        progress.total = 9
        progress.add(photos=1, faces=1, failed=1)
    rows = lines(text)
    assert [row["photos"] for row in rows] == ["1", "2", "3", "4", "5", "6"], "the last line is not printed twice"
    assert "total" not in rows[4] and "seconds_left" not in rows[4] and "photos_per_second" in rows[4]
    assert rows[5]["total"] == "9" and float(rows[5]["seconds_left"]) > 0


@pytest.mark.usefixtures("clock")
def test_the_timeline_of_a_long_run_stays_short_and_spans_it():
    timeline = Timeline(seconds=1.0, most=100)
    for photos in range(5000):
        timeline.add(photos, photos, 0)
    timeline.add(5000, 5000, 0, last=True)
    seconds = [sample[0] for sample in timeline.samples]
    assert 40 <= len(seconds) <= 101 and seconds == sorted(seconds)
    gaps = [later - earlier for earlier, later in itertools.pairwise(seconds[:-1])]
    assert max(gaps) <= 2 * min(gaps), "samples are evenly spread"
    assert timeline.samples[-1][1] == 5000 and seconds[0] < 0.05 * seconds[-1]


@pytest.mark.usefixtures("clock")
def test_speed_leaves_out_the_start_and_gives_the_time_left():
    with show_progress(3600, Console(file=io.StringIO())) as progress:
        progress.add(photos=1000, faces=1000, failed=0)
        assert progress.rates() is None
        progress.add(photos=20, faces=10, failed=10)
        photos_per_second, faces_per_second = progress.rates() or (0.0, 0.0)
        assert photos_per_second == 2 * faces_per_second < 20
        assert progress.seconds_left() == pytest.approx(2580 / photos_per_second, rel=0.2)


def test_on_a_terminal_there_is_a_bar_with_counts():
    text = io.StringIO()
    with show_progress(4, Console(file=text, force_terminal=True, width=150)) as progress:
        progress.add(photos=3, faces=5, failed=1)
    assert "3/4" in text.getvalue() and "5 faces" in text.getvalue() and "1 failed" in text.getvalue()
