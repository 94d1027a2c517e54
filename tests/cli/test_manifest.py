import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from runs import face, row, write_run

from facerecon_ray.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call `facerecon manifest` in a folder with two outputs; returns exit code and everything it printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    errors = [row(f"/p/{i}.jpg", "unreadable", error=f"the file has {i} bytes") for i in range(3)]
    write_run(tmp_path / "monday", [face("/p/a.jpg", -70, 0.4), row("/p/b.jpg", "no_face"), *errors])
    write_run(tmp_path / "tuesday", [face("/p/a.jpg", 20, 0.8)])

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["facerecon", "manifest", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return int(exit_info.value.code or 0), captured.out + captured.err

    return call


def test_counts_and_reasons_of_failures_are_shown_for_each_output(run):
    code, text = run("monday", "tuesday")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert code == 0
    assert ["monday", "5", "1", "1", "3", "0"] in lines and ["tuesday", "1", "1", "0", "0", "0"] in lines
    assert ["3", "unreadable", "the file has N bytes", "/p/0.jpg"] in lines


def test_rows_can_be_filtered_and_are_cut_with_a_note(run):
    code, text = run("monday", "--status", "unreadable", "--limit", "2")
    assert code == 0 and "3 rows, the first 2 shown" in text and "/p/1.jpg" in text and "/p/2.jpg" not in text
    assert "1 rows" in run("monday", "--yaw-over", "60")[1]
    assert "1 rows" in run("monday", "--where", "yaw < -60 and fit_error < 0.1 and bbox_x1 = 3")[1]


def test_rows_of_all_outputs_go_into_one_file(run, tmp_path: Path):
    code, text = run("monday", "tuesday", "--status", "ok", "--parquet", "all.parquet", "--csv", "all.csv")
    assert code == 0 and "Wrote 2 rows to all.parquet" in text
    table = pq.read_table(tmp_path / "all.parquet")
    assert table["run"].to_pylist() == ["monday", "tuesday"] and "landmarks" in table.column_names
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 3


def test_joined_outputs_stand_side_by_side(run):
    code, text = run("monday", "tuesday", "--join", "--photo", "a.jpg")
    assert code == 0 and "yaw_1" in text and "-70.00" in text and "20.00" in text
    assert "1 rows" in run("monday", "tuesday", "--join", "--where", "timings_crop > 10")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["monday", "--status", "fine"], "--status 'fine': choose ok, no_face, failed, unreadable"),
        (["monday", "--join"], "--join: name at least two outputs"),
        (["nowhere"], "nowhere: there is no manifest"),
        (["monday", "--where", "yaww < 3"], "'yaww < 3': Binder Error: Referenced column"),
    ],
)
def test_mistakes_are_one_line(run, arguments: list[str], message: str):
    code, text = run(*arguments)
    assert code == 2 and message in text and len(text.strip().splitlines()) == 1
