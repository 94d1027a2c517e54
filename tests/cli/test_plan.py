import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facerecon_ray.cli import main

JOB_FILE = Path(__file__).parents[2] / "jobs" / "reconstruct_photos.yaml"


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call `facerecon plan`; returns exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["facerecon", "plan", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return int(exit_info.value.code or 0), captured.out, captured.err

    return call


def test_a_plan_shows_stages_bottleneck_time_and_cost(plan):
    code, out, err = plan(str(JOB_FILE), "--photos", "90000000", "--nodes", "4x16cpu", "--cost-per-hour", "3")
    assert code == 0 and err == ""
    assert "photos -> read -> crop -> fit -> rotate -> reconstruct -> export -> meshes" in out
    assert [line.split()[0] for line in out.splitlines() if "%" in line] == [
        "read",
        "crop",
        "fit",
        "rotate",
        "reconstruct",
        "export",
    ]
    rate = float(re.search(r"90,000,000 photos at ([\d.]+) photos/s: ([\d.]+)", out)[1])
    hours = float(re.search(r"photos/s: ([\d.]+) hours", out)[1])
    assert hours == pytest.approx(90e6 / rate / 3600, abs=0.1)
    assert float(re.search(r"Cost: ([\d.,]+) at 3 an hour", out)[1]) == pytest.approx(3 * 90e6 / rate / 3600, rel=0.01)
    assert "Bottleneck: " in out


def test_a_plan_says_how_many_objects_come_out_and_how_many_in_packs(plan):
    photos = ("--photos", "1000", "--nodes", "4x16cpu", "--set", "shard_photos=16")
    _, out, _ = plan(*photos, "--faces-per-photo", "1.5")
    assert "About 3,263 objects in the output; with --pack shard 526" in out
    _, out, _ = plan(*photos, "--faces-per-photo", "1.5", "--set", "export.pack=shard")
    assert "About 526 objects in the output\n" in out
    _, out, _ = plan(*photos, "--set", "export.meshes=false", "--set", "export.previews=false")
    assert "About 63 objects in the output\n" in out


def test_unmeasured_figures_and_starved_stages_are_warned_of(plan):
    starved = ("--set", "pools.rotate.workers=1", "--set", "pools.export.workers=20")
    code, _, err = plan("--nodes", "8x8cpu+1gpu", *starved)
    assert code == 0
    assert "costs on a GPU are estimates, not measured" in err and "set pools.rotate.workers to" in err


def test_without_a_cluster_the_plan_is_for_this_machine(plan):
    code, out, _ = plan("--photos", "10")
    assert code == 0 and out.startswith("Cluster: 1 x (")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nodes", "lots"], "nodes 'lots': write COUNTxCPUScpu"),
        (["--nodes", "8cpu", "--address", "1.2.3.4:6379"], "--nodes and --address: give one of them"),
        (["--nodes", "8cpu", "--set", "pools.rotate.gpus=1"], "need 1 GPUs, Ray has 0"),
        (["nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_mistakes_are_one_line(plan, arguments: list[str], message: str):
    code, _, err = plan(*arguments)
    assert code == 2 and message in err and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("known", [{"PYTHONIOENCODING": "latin-1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_table_is_whole_in_a_file_whatever_the_terminal_knows(known: dict[str, str]):
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    program = [sys.executable, "-c", "from facerecon_ray.cli import start; start()", "plan"]
    run = subprocess.run(program, env={**environment, **known}, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert all(name in run.stdout for name in (b"reconstruct ", b"CPUs", b"photos/s", b"busy"))
