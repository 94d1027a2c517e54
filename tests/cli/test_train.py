import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from refusals import refusal
from training_pairs import write_pairs

WAIT_SECONDS = 200.0
QUICK = ["steps=12", "batch_size=2", "validate_every=3", "validation_rows=2", "optimizer.warmup=0"]
QUICK += ["data_stream.shuffle_rows=4", "workers.cpus=0.5", "workers.threads=1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mobilenet", "--data", "pairs"), "network 'mobilenet': choose from detector, fitter, two-view, prnet"),
        (("fitter", "--data", "pairs", "--preset", "quick"), "preset 'quick': there is smoke"),
        (("--data", "pairs"), "no network is named: choose from"),
        (("fitter",), "setting 'data'"),
        (("fitter", "--data", "pairs", "--steps", "0"), "setting 'steps'"),
        (("fitter", "--data", "pairs", "--workers", "0"), "setting 'workers.count'"),
        (("fitter", "--data", "pairs", "--set", "learning_rate=1"), "there is no such setting"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert message in refusal(monkeypatch, capsys, "train", *arguments, "--output", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_job_file_for_another_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text("network: prnet\ndata: pairs\noutput: out\n")
    line = refusal(monkeypatch, capsys, "train", "fitter", "--config", str(tmp_path / "job.yaml"))
    assert "it trains prnet, not fitter" in line


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), "no data set; `facerecon synthesize"), (("--init", "nothing.safetensors"), "nothing.safetensors: no such")],
)
def test_what_is_missing_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    places = ("--data", str(tmp_path / "nowhere"), "--output", str(tmp_path / "out"))
    assert message in refusal(monkeypatch, capsys, "train", "fitter", *places, *arguments)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "facerecon_ray", "train", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Of a command whose temporary files lie in a folder."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "TMPDIR": str(folder), "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2"}


def kill_all(process: subprocess.Popen[str]) -> None:
    """End a driver and the Ray that it has started, as the end of its machine does, and remove what Ray leaves."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    told = " ".join(" ".join(member.cmdline()) for member in family if member.is_running())
    for member in family:
        member.kill()
    process.wait()
    psutil.wait_procs(family, timeout=20)
    for folder in set(re.findall(r"/tmp/facerecon-[a-z0-9_]+(?=/ray)", told)):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_driver_that_is_killed_is_continued_by_the_same_command(tmp_path: Path) -> None:
    data, output = write_pairs(tmp_path / "pairs"), tmp_path / "out"
    settings = [part for setting in QUICK for part in ("--set", setting)]
    same = command("fitter", "--data", data, "--output", str(output), *settings)
    process = subprocess.Popen(same, stderr=subprocess.PIPE, text=True, env=environment(tmp_path))
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (output / "checkpoints" / "last.pt").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "there was no checkpoint in time"
            time.sleep(0.05)
    finally:
        kill_all(process)
    first = torch.load(output / "checkpoints" / "last.pt", weights_only=True)["step"]
    assert first < 12
    again = subprocess.run(same, capture_output=True, text=True, env=environment(tmp_path), timeout=WAIT_SECONDS)
    assert again.returncode == 0, again.stderr
    assert f"Going on after step {first} of 12" in again.stderr
    assert "event=progress step=12 total=12" in again.stderr
    history = json.loads((output / "figures.json").read_text())
    assert [entry["step"] for entry in history] == [3, 6, 9, 12]
    assert f"Weights: {output / 'fitter.safetensors'}" in again.stdout
    assert torch.load(output / "checkpoints" / "last.pt", weights_only=True)["step"] == 12


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_the_preset_smoke_makes_its_own_data_and_its_loss_falls(tmp_path: Path) -> None:
    pytest.importorskip("anny", reason="sampling heads needs the package anny (the extra 'synthesis')")
    smoke = command("two-view", "--preset", "smoke", "--output", str(tmp_path / "smoke"))
    ended = subprocess.run(smoke, capture_output=True, text=True, env=environment(tmp_path), timeout=800)
    assert ended.returncode == 0, ended.stderr
    assert "Making a few pairs in" in ended.stderr
    found = re.search(r"loss two-view/map\W+([\d.e+-]+) at step (\d+), now ([\d.e+-]+)", ended.stdout)
    assert found, ended.stdout
    assert int(found[2]) < 12
    assert float(found[3]) < float(found[1])
    assert (tmp_path / "smoke" / "two_view.safetensors").exists()
