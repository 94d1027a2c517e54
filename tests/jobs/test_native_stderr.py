import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from facerecon_ray.jobs.native_stderr import native_stderr
with native_stderr() as said:
    os.write(2, b"[2026-12-01 03:16:38,142 I 1 1] logging.cc:303: of no interest\\n")
    print("said by Python", file=sys.stderr)
    {what}
os.write(2, b"afterwards\\n")
"""
ABORTED = """
    os.write(2, b"[2026-12-01 03:16:38,236 C 1 1] shared_memory.cc:46: mmap failed\\n*** StackTrace ***\\n0x7fd4\\n")
    os.abort()
"""


def run(what: str, folder: Path) -> tuple[int, str]:
    program = PROGRAM.format(what=what)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, text=True)
    assert list(folder.iterdir()) == []
    return done.returncode, done.stderr


def test_an_aborted_process_says_why(tmp_path: Path):
    code, text = run(ABORTED, tmp_path)
    assert code != 0
    said, reason = text.splitlines()
    assert said == "said by Python"
    assert reason.startswith("error: starting Ray has ended this process: shared_memory.cc:46: mmap failed (look at")


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 15)", "os._exit(3)"])
def test_a_process_that_others_end_is_not_said_to_be_aborted(end: str, tmp_path: Path):
    code, text = run(end, tmp_path)
    assert code != 0
    assert text == "said by Python\n"


def test_of_a_good_start_nothing_is_shown(tmp_path: Path):
    assert run("assert said.name", tmp_path) == (0, "said by Python\nafterwards\n")
