import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))
from runs import face, write_run

from facerecon_ray.cli import main
from facerecon_ray.storage.outputs import OutputFolder
from facerecon_ray.storage.run_record import new_record, save_record


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["people", "nothing", "--output", "people"], "there is no run.json; name the output"),
        (["people", "out", "--output", "people"], "no face in it tells of its person; reconstruct with --people"),
        (["people", "out"], "setting 'output'"),
        (["people", "out", "--output", "people", "--set", "grouping.same_person=2"], "'grouping.same_person'"),
        (["forget", "out"], "name either photos with --photo, or one person with --person"),
        (["forget", "out", "--photo", "a.jpg", "--person", "b"], "name either photos"),
        (["forget", "out", "--person", "b"], "there is no person b in the people that were made of it"),
        (["forget", "nothing", "--photo", "a.jpg"], "there is no run.json"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "out", [face("/p/a.jpg", 10, 0.8)])
    save_record(OutputFolder(tmp_path / "out"), new_record({}, "/p"))
    monkeypatch.setattr(sys, "argv", ["facerecon", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    said = capsys.readouterr().err
    assert exit_info.value.code == 2
    assert said.startswith("error: ") and message in said and len(said.splitlines()) == 1


def test_a_photo_is_forgotten_and_its_row_says_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "out", [face("/p/a.jpg", 10, 0.8), face("/p/b.jpg", 10, 0.8)])
    save_record(OutputFolder(tmp_path / "out"), new_record({}, "/p"))
    monkeypatch.setattr(sys, "argv", ["facerecon", "forget", "out", "--photo", "/p/a.jpg"])
    main_or_exit()
    assert "Forgotten and verified: 1 rows, 0 files, 0 persons changed" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["facerecon", "manifest", "out", "--status", "forgotten"])
    main_or_exit()
    assert "/p/a.jpg" in (said := capsys.readouterr().out) and "/p/b.jpg" not in said
    assert "a.jpg" not in (tmp_path / "out" / "index.html").read_text()


def main_or_exit() -> None:
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert not exit_info.value.code
