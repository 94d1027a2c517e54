from datetime import UTC, datetime, timedelta
from pathlib import Path

from facerecon_ray.evaluation.figures import Figure
from facerecon_ray.evaluation.history import Night, append_to_history, comparable_figures, read_history
from facerecon_ray.storage.objects import open_store

START = datetime(2026, 3, 1, 3, 15, tzinfo=UTC)


def night(day: int, value: float, comparable: str = "a") -> Night:
    figures = (
        Figure("embedded", "fitted", "all", "nme", value, 27),
        Figure("embedded", "fitted", "yaw +20", "nme", 1.0, 3),
    )
    return Night(START + timedelta(days=day), comparable, None, "0.1.0", figures)


def test_nights_come_back_as_they_were_in_the_order_of_their_time(tmp_path: Path) -> None:
    store = open_store(tmp_path / "history")
    written = [night(2, 0.3), night(0, 0.1), night(1, 0.2)]
    for one in written:
        append_to_history(store, one)
    assert read_history(store) == [written[1], written[2], written[0]]


def test_two_runs_of_the_same_second_keep_out_of_each_others_way(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert append_to_history(store, night(0, 0.1)) != append_to_history(store, night(0, 0.2))
    assert len(read_history(store)) == 2


def test_foreign_and_damaged_files_are_passed_over(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append_to_history(store, night(0, 0.1))
    store.write("run-x.parquet", b"PAR1 no")
    store.write("notes.txt", b"hello")
    assert len(read_history(store)) == 1


def test_an_empty_history_has_no_nights(tmp_path: Path) -> None:
    assert read_history(open_store(tmp_path / "new")) == []


def test_only_runs_on_the_same_data_are_compared() -> None:
    nights = [night(0, 0.1), night(1, 0.2, "b"), night(2, 0.3)]
    assert [figures[0].value for figures in comparable_figures(nights, "a")] == [0.1, 0.3]
