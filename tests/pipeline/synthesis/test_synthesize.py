import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray import cloudpickle
from rich.console import Console

from facerecon_ray.cli.synthesize import _require_views
from facerecon_ray.config.synthesis import SynthesisJob
from facerecon_ray.errors import FaceReconError, InputError, OutputError, SettingsError, StorageError
from facerecon_ray.pipeline.synthesis.pair_maker import PairMaker
from facerecon_ray.pipeline.synthesis.synthesis_preparation import prepare_synthesis
from facerecon_ray.pipeline.synthesis.synthesize import MadeSet, run_synthesis
from facerecon_ray.storage.folder_store import FolderStore
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.pairs.dataset_card import DatasetCard, load_card, save_card
from facerecon_ray.storage.pairs.pair_shards import first_failure, read_pairs, write_shard
from facerecon_ray.storage.run_lock import claimed

sys.path.insert(0, str(Path(__file__).parents[2]))
import toy_subjects
from s3_server import S3Server
from toy_subjects import BlinkingSource, DeadlySource, ToySource, toy_job

cloudpickle.register_pickle_by_value(toy_subjects)


def make(output: object, workers: int = 1, text: io.StringIO | None = None, **settings: object) -> MadeSet:
    job = toy_job(output, pool={"workers": workers, "cpus": 0.3}, **settings)
    return run_synthesis(prepare_synthesis(job), Console(file=text or io.StringIO()), source=ToySource)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    """A complete set of 8 subjects, made by one worker."""
    output = tmp_path_factory.mktemp("made")
    make(output)
    return output


def card_of(output: Path) -> DatasetCard:
    card = load_card(open_store(output))
    assert card is not None
    return card


def test_a_set_holds_every_view_of_every_subject_once_and_its_card_counts_them(made: Path) -> None:
    card = card_of(made)
    rows = list(read_pairs(open_store(made), status=None, columns=["subject", "view", "split", "status"]))
    views = [(int(s), int(v)) for batch in rows for s, v in zip(batch["subject"], batch["view"], strict=True)]
    assert views == [(number, view) for number in range(8) for view in (0, 1) if (number, view) != (3, 1)]
    assert all(len(set(batch["split"])) == 1 for batch in rows)
    assert (card.status, card.rows, len(card.shards)) == ("complete", 15, 4)
    assert card.counts["status"] == {"failed": 1, "ok": 14}
    assert card.counts["yaw"] == {"-67.5 to -45": 7, "0 to 22.5": 7}
    assert sum(card.counts["split"].values()) == 15
    assert card.runs[0].outcome == "finished"
    assert card.settings["pairs"]["landmarks"] == "exact"
    assert card.bytes == sum((made / shard.file).stat().st_size for shard in card.shards)


def test_a_set_of_which_no_view_could_be_made_has_failed(ray_cluster: None, tmp_path: Path) -> None:
    job = toy_job(tmp_path, subjects=2, pool={"workers": 1, "cpus": 0.3})
    made = run_synthesis(prepare_synthesis(job), Console(file=io.StringIO()), source=BlinkingSource)
    assert made.card.fruitless and made.run.outcome == "failed"
    assert first_failure(open_store(tmp_path)) == "subject 0 blinked"
    with pytest.raises(InputError, match=r"none of 2 views could be made \(subject 0 blinked\)"):
        _require_views(prepare_synthesis(job))


def test_a_set_that_grows_makes_what_is_missing_and_nothing_else(made: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(made, tmp_path / "copy"))
    for name in ("part-000002.parquet", "part-000002.json"):
        (output / "shards" / name).unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    text = io.StringIO()
    card = make(output, text=text, subjects=9).card
    after = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    assert {name: after[name] for name in before} == before
    assert card.shards[:4] == card_of(made).shards
    assert (card.subjects, card.rows, card.status) == (9, 17, "complete")
    assert [run.views for run in card.runs] == [15, 6]
    assert "views=6 total=6 pairs=6 failed=0" in text.getvalue()


@pytest.mark.slow
def test_a_set_on_s3_is_the_same_set(made: Path, seaweed: S3Server) -> None:
    output = f"s3://{seaweed.bucket()}/pairs"
    s3 = seaweed.settings.model_dump()
    make(output, s3=s3)
    store = open_store(output, seaweed.settings)
    card = load_card(store)
    assert card is not None
    assert card.shards == card_of(made).shards
    assert prepare_synthesis(toy_job(output, s3=s3)).todo == []
    assert sum(len(batch["view"]) for batch in read_pairs(store, columns=["view"])) == 14


@pytest.mark.slow
def test_a_shard_that_cannot_be_written_is_named_and_the_others_stay(tmp_path: Path, ray_cluster: None) -> None:
    blocked = tmp_path / "shards" / "part-000002.parquet"
    prepared = prepare_synthesis(toy_job(tmp_path, pool={"workers": 1, "cpus": 0.3}))
    blocked.mkdir(parents=True)
    with pytest.raises(StorageError, match=r"part-000002\.parquet.*finished shards stay, the same command"):
        run_synthesis(prepared, Console(file=io.StringIO()), source=ToySource)
    card = card_of(tmp_path)
    assert (card.status, card.runs[0].outcome) == ("incomplete", "failed")
    assert [shard.file for shard in card.shards][:2] == ["shards/part-000000.parquet", "shards/part-000001.parquet"]
    blocked.rmdir()
    assert make(tmp_path).card.status == "complete"


@pytest.mark.slow
def test_a_subject_that_ends_its_process_is_not_tried_for_ever(tmp_path: Path, ray_cluster: None) -> None:
    prepared = prepare_synthesis(toy_job(tmp_path, pool={"workers": 1, "cpus": 0.3}))
    with pytest.raises(FaceReconError, match=r"WorkerCrashedError.*; it made subjects 2 to 3; finished shards stay"):
        run_synthesis(prepared, Console(file=io.StringIO()), source=DeadlySource)
    assert [shard.file for shard in card_of(tmp_path).shards] == ["shards/part-000000.parquet"]


def test_no_space_left_leaves_no_part_of_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("facerecon_ray.storage.folder_store._write_flushed", full)
    job = toy_job("unused")
    rows = PairMaker(job, ToySource(job)).rows(0)
    with pytest.raises(StorageError, match="No space left on device"):
        write_shard(FolderStore(tmp_path), 0, [rows], 0, {})
    assert not list(tmp_path.rglob("*.*"))


def test_two_runs_never_make_one_set(tmp_path: Path) -> None:
    prepared = prepare_synthesis(toy_job(tmp_path / "out"))
    with claimed(prepared.store), pytest.raises(OutputError, match="another run is writing"):
        run_synthesis(prepared, Console(file=io.StringIO()))
    save_card(prepared.store, prepared.card)
    with pytest.raises(OutputError, match="another run has written to it meanwhile; start again"):
        run_synthesis(prepared, Console(file=io.StringIO()))


def test_workers_that_do_not_fit_the_cluster_are_refused(tmp_path: Path, ray_cluster: None) -> None:
    job = toy_job(tmp_path, pool={"workers": 4, "cpus": 500})
    with pytest.raises(SettingsError, match=r"setting 'pool': no node has room for .* with 500 CPUs each"):
        run_synthesis(prepare_synthesis(job), Console(file=io.StringIO()), source=ToySource)


@pytest.mark.slow
def test_real_subjects_are_equal_to_the_bit_with_one_worker_and_with_two(tmp_path: Path, ray_cluster: None) -> None:
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    shards = []
    for workers in (1, 2):
        job = SynthesisJob.model_validate(
            {
                "output": str(tmp_path / f"{workers}"),
                "subjects": 2,
                "shards": {"subjects": 1},
                "views": {"yaws": (-80.0, 0.0)},
                "pool": {"workers": workers, "cpus": 0.3},
            }
        )
        shards.append(run_synthesis(prepare_synthesis(job), Console(file=io.StringIO())).card.shards)
    assert shards[0] == shards[1]


@pytest.mark.slow
def test_ctrl_c_stops_with_130_and_the_same_job_finishes(made: Path, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(toy_subjects.__file__).parent)!r})\n"
        "import toy_subjects, io\n"
        "from ray import cloudpickle\n"
        "cloudpickle.register_pickle_by_value(toy_subjects)\n"
        "import facerecon_ray.pipeline.synthesis.synthesize as synthesize\n"
        "import facerecon_ray.cli.synthesize as command\n"
        "run = synthesize.run_synthesis\n"
        "synthesize.run_synthesis = lambda *a: run(*a, source=toy_subjects.ToySource)\n"
        "from facerecon_ray.cli import main\n"
        "main()\n"
    )
    output = tmp_path / "out"
    settings = [
        "pairs.landmarks=exact",
        "views.yaws=[-60, 10]",
        "shards.subjects=2",
        "pool.cpus=0.3",
        "fit.method=landmarks",
    ]
    command = [
        sys.executable,
        str(script),
        "synthesize",
        "--subjects",
        "300",
        "--output",
        str(output),
        "--workers",
        "1",
    ]
    command += [part for setting in settings for part in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 120
    while not list(output.glob("shards/*.json")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command makes what is missing" in text
    card = json.loads((output / "dataset.json").read_text())
    assert card["status"] == "incomplete"
    assert card["runs"][0]["outcome"] == "stopped"
    assert 0 < len(card["shards"]) < 150
    first = card_of(made).shards[0]
    assert (card["shards"][0]["rows"], card["shards"][0]["sha256"]) == (first.rows, first.sha256)
