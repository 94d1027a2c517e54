import html
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from browser import screenshot
from runs import face, row, write_run

from facerecon_ray.report.run_report import write_run_report
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_record import Run, new_record, save_record

HOSTILE = "/photos/<img src=x onerror=alert(1)>.jpg"
POOLS = {name: {"workers": 2.0, "cpus": 1.0} for name in ("read", "crop", "rotate", "reconstruct", "export")}


def write_job(folder: Path, previews: bool, faces: int = 20) -> OutputFolder:
    """Output of a job that was killed once and continued."""
    output = OutputFolder(folder)
    rows = [
        face(f"/photos/{i}.jpg", 0, i / faces, 0)
        | {
            "timings": {"crop": 200.0, "rotate": 50.0, "export": 90.0, "write": 10.0},
            "preview_uri": f"previews/{i}.png",
        }
        for i in range(faces)
    ]
    rows += [row(f"/photos/bad{i}.jpg", "unreadable", error=f"the file has {i} bytes") for i in range(4)]
    write_run(folder, [*rows, row(HOSTILE, "failed", error="<script>alert(1)</script>")])
    for i in range(faces):
        buffer = io.BytesIO()
        Image.fromarray(np.full((120, 600, 3), (200, 30, 30), np.uint8)).save(buffer, "PNG")
        output.write(f"previews/{i}.png", buffer.getvalue())
    record = new_record({"export": {"previews": previews}}, "/photos")
    timeline = [(float(second), second, second * 2, 0) for second in range(0, 100, 10)]
    record.runs = [
        Run(
            started="2026-01-01T02:00:00+00:00",
            outcome="killed",
            seconds=100,
            photos=15,
            timeline=timeline,
            pools=POOLS,
        ),
        Run(
            started="2026-01-02T02:00:00+00:00",
            outcome="finished",
            seconds=50,
            photos=10,
            timeline=timeline[:5],
            pools=POOLS,
        ),
    ]
    save_record(output, record)
    return output


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    output = write_job(tmp_path_factory.mktemp("job") / "out", previews=False)
    address = write_run_report(output)
    assert address.endswith("/report.html")
    return output.store.read("report.html").decode()


def test_counts_and_time_of_work_are_at_the_top(page: str):
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page))
    assert facts == {"photos": "25", "faces": "20", "unreadable": "4", "failed": "1", "of work": "2 min"}


def test_throughput_is_drawn_for_each_run_at_its_rate(page: str):
    lines = re.findall(r'<polyline class="line" points="(.*?)"', page)
    assert [len(line.split()) for line in lines] == [11, 6], "its ends and the middle of each step"
    heights = {point.split(",")[1] for line in lines for point in line.split()}
    assert len(heights) == 1, "two faces a second all the time"


def test_stages_show_their_cost_and_how_busy_the_last_run_was(page: str):
    texts = re.findall(r'<text class="value".*?>(.*?)</text>', page)
    assert texts == ["200.0 ms, 2 workers 2% busy", "50.0 ms, 2 workers 0% busy", "100.0 ms, 2 workers 1% busy"]


def test_failures_are_grouped_with_examples(page: str):
    assert "<td>the file has N bytes<small>/photos/bad0.jpg</small><small>/photos/bad1.jpg</small>" in page
    assert page.index("the file has N bytes") < page.index("&lt;script&gt;")


def test_text_of_others_never_becomes_markup(page: str):
    assert "<script" not in page and "<img src=x" not in page and "&lt;img src=x onerror" in page


def test_the_page_loads_nothing_and_shows_no_pixels_without_previews(page: str):
    assert not re.search(r"https?://|<(img|script|link|iframe|object)|@import|url\(", page)
    assert "default-src 'none'" in html.unescape(page)


def test_with_previews_the_worst_faces_are_shown_small_and_inside_the_page(tmp_path: Path):
    output = write_job(tmp_path / "out", previews=True)
    write_run_report(output)
    page = output.store.read("report.html").decode()
    shown = re.findall(r'<img src="data:image/jpeg;base64,[^"]+" alt=""><figcaption>(\d+)\.jpg', page)
    assert shown == ["0", "1", "2", "3", "4", "5"], "lowest quality first"
    assert len(page) < 60_000


def test_an_output_of_failures_alone_has_a_page(tmp_path: Path):
    write_run(tmp_path / "out", [row("/photos/a.jpg", "unreadable", error="the file is empty")])
    write_run_report(OutputFolder(tmp_path / "out"))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No face came through." in page and "There are no samples." in page and "the file is empty" in page


def test_a_browser_draws_the_charts(tmp_path: Path):
    output = write_job(tmp_path / "out", previews=True)
    picture = screenshot(write_run_report(output), tmp_path, 1000, 1500).astype(int)
    blue = (picture[..., 2] > picture[..., 0] + 80) & (picture[..., 2] > 120)
    red = (picture[..., 0] > 150) & (picture[..., 1] < 80)
    assert blue.sum() > 500, "the line of the throughput and the bars, in the style sheet's colour"
    assert red.mean() > 0.02, "previews"
