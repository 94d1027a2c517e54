"""Jobs on a real cluster of two nodes with a dashboard, by the commands that a user types."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from facerecon_ray.errors import FaceReconError, SettingsError
from facerecon_ray.pipeline.remote.submission import JobServer

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "cluster" / "local.py"
PHOTO = ROOT / "facerecon_ray" / "assets" / "photos" / "eileen_collins.jpg"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables of a local cluster: a head, and a worker with a GPU that does not exist and a mark of its own."""
    folder = Path("/tmp") / f"facerecon-test-{os.getpid()}"
    script = [sys.executable, str(SCRIPT), "--folder", str(folder)]
    options = ["start", "--head-cpus", "1", "--node", "1cpu+1gpu+rotation_gpu:1"]
    started = subprocess.run([*script, *options], check=True, capture_output=True, text=True, timeout=280)
    pids = {
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or [])
    }
    assert len(pids) >= 4
    try:
        exports = [
            line.removeprefix("export ").split("=", 1) for line in started.stdout.splitlines() if "export" in line
        ]
        yield {name: value for name, value in exports if name != "RAY_ADDRESS"}
    finally:
        subprocess.run([*script, "stop"], check=True, timeout=120)
    deadline = time.monotonic() + 30
    while (left := {pid for pid in pids if _is_running(pid)}) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left, "processes are left"
    assert not folder.exists()


@pytest.fixture
def run(cluster: dict[str, str], tmp_path: Path) -> Run:
    """Type `facerecon ...` in a folder with a job file for one photo."""
    (tmp_path / "photos").mkdir()
    shutil.copy(PHOTO, tmp_path / "photos")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/photos/{PHOTO.name}\n")
    job = {"command": "reconstruct", "input": "list.txt", "output": tmp_path / "out"}
    (tmp_path / "job.yaml").write_text("".join(f"{name}: {value}\n" for name, value in job.items()))
    environment = {**os.environ, **cluster, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "facerecon_ray", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500)

    return call


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_is_submitted_stopped_submitted_again_and_followed_to_its_end(run: Run, tmp_path: Path):
    first = run("submit", "job.yaml", "--no-wait", "--id", "first")
    assert first.returncode == 0 and first.stdout == "first\n"
    deadline = time.monotonic() + 300
    while "RUNNING" not in run("status", "first").stdout:
        assert time.monotonic() < deadline, "it did not begin"
    assert run("stop", "first").stdout == "first is stopping\n"
    while "STOPPED" not in run("status", "first").stdout:
        assert time.monotonic() < deadline, "it did not stop"

    again = run("submit", "job.yaml", "--id", "first")
    assert again.returncode == 2 and "has had a job of that id" in again.stderr

    second = run("submit", "job.yaml", "--id", "second", "--set", "pools.rotate.resources={rotation_gpu: 1}")
    assert second.returncode == 0, second.stderr
    assert "event=progress photos=1 total=1 faces=1 failed=0" in second.stderr, "the log is followed"
    assert "SUCCEEDED" in second.stdout
    assert (
        len(list((tmp_path / "out" / "meshes").rglob("*.glb"))) == 1 and (tmp_path / "out" / "report.html").is_file()
    )

    state = run("status", "second").stdout
    assert "SUCCEEDED" in state and "photos=1 total=1" in state and str(tmp_path / "out") in state
    assert "photos without a face" in run("status", "second", "--log").stdout
    listed = run("status").stdout
    assert listed.index("second") < listed.index("first") and "STOPPED" in listed
    assert run("stop", "second").stdout == "second had ended before\n"
    assert run("status", "third").returncode == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_that_fails_says_so_and_shows_why(run: Run, tmp_path: Path):
    (tmp_path / "list.txt").write_text("")
    failed = run("submit", "job.yaml")
    assert failed.returncode == 1
    assert "no photo found" in failed.stderr and "FAILED" in failed.stdout


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:9")
    with pytest.raises(FaceReconError, match=r"no Ray cluster answers at http://127\.0\.0\.1:1:"):
        JobServer("http://127.0.0.1:1")


def test_an_address_of_another_kind_is_refused_with_what_to_write():
    with pytest.raises(SettingsError, match="write http://HOST:PORT"):
        JobServer("ray://head:10001")


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
