import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facerecon_ray.cli.app import app
from facerecon_ray.pipeline.synthesis.synthesis_preparation import prepare_synthesis
from facerecon_ray.storage.pairs.dataset_card import save_card
from facerecon_ray.storage.pairs.pair_schema import pair_rows
from facerecon_ray.storage.pairs.pair_shards import shard_summaries, write_shard

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "storage"))
from pairs import pair_batch
from refusals import refusal
from toy_subjects import toy_job

OPTIONS = [
    "--set",
    "shards.subjects=2",
    "--set",
    "views.yaws=[-60, 10]",
    "--set",
    "pairs.landmarks=exact",
    "--set",
    "fit.method=landmarks",
]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A complete set of 2 subjects with rows of random contents."""
    prepared = prepare_synthesis(toy_job(tmp_path, subjects=2))
    write_shard(prepared.store, 0, [pair_rows(pair_batch(number), "jpeg") for number in range(2)], 0, {})
    prepared.card.summarise(shard_summaries(prepared.store), 1)
    save_card(prepared.store, prepared.card)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["synthesize", *arguments])
    return result.exit_code, result.output


def test_a_complete_set_says_so_and_nothing_is_done(output: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*")}
    code, text = run("--subjects", "2", "--output", str(output), *OPTIONS)
    assert code == 0
    assert "is complete: 6 views; nothing to do" in text
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*")} == before


def test_preview_of_a_set_shows_its_rows_without_making_any(output: Path) -> None:
    code, text = run("--output", str(output), "--preview", *OPTIONS)
    assert code == 0
    assert (output / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert "Wrote" in text


def test_dry_run_says_what_would_be_made_and_writes_nothing(tmp_path: Path) -> None:
    code, text = run("--subjects", "5", "--output", str(tmp_path / "new"), "--dry-run", *OPTIONS)
    assert code == 0
    assert "5 subjects, 2 views of each, in 3 shards" in text
    assert "nothing was written" in text
    assert not (tmp_path / "new").exists()


def test_a_changed_setting_is_one_line_that_names_it(
    output: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--subjects", "2", "--output", str(output), *OPTIONS, "--set", "views.pitch=5")
    assert "views.pitch was 25.0, now is 5.0" in refusal(monkeypatch, capsys, "synthesize", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subjects", "0"), "setting 'subjects'"),
        (("--facegen", "a", "--300wlp", "b"), "one at a time"),
        (("--facegen", "a"), "add --face-model BFM.mat"),
        (("--set", "split.test=0.9", "--set", "split.validation=0.9"), "more than 1"),
        (("--set", "views.ptich=3"), "no such setting"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert message in refusal(monkeypatch, capsys, "synthesize", "--output", str(tmp_path / "out"), *arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_photos_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    line = refusal(
        monkeypatch, capsys, "synthesize", "--profile", str(tmp_path / "empty"), "--output", str(tmp_path / "out")
    )
    assert "empty" in line
    assert "no photos" in line


def test_a_background_folder_without_pictures_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    setting = f"backgrounds.folder={tmp_path / 'empty'}"
    assert "empty" in refusal(monkeypatch, capsys, "synthesize", "--set", setting, "--output", str(tmp_path / "out"))


def test_the_job_file_for_synthesis_is_valid(tmp_path: Path) -> None:
    job = Path(__file__).parents[2] / "jobs" / "synthesize.yaml"
    code, text = run("--config", str(job), "--output", str(tmp_path / "out"), "--dry-run")
    assert code == 0, text
    assert "2000 subjects, 8 views of each" in text


def test_card_is_json_that_names_its_settings(output: Path) -> None:
    card = json.loads((output / "dataset.json").read_text())
    assert card["settings"]["views"]["yaws"] == [-60.0, 10.0]
    assert set(card["assets"]) == {"face_model"}
    assert card["versions"]["numpy"]
