import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ABORTS_WHEN_TAKEN_DOWN = """
import atexit, os, sys
from facerecon_ray.cli import main, start

class Thread:
    abort = os.abort
    def __del__(self):
        Thread.abort()

keep = Thread()
atexit.register(print, "exit functions ran")
sys.argv = ["facerecon", *sys.argv[2:]]
{"main": main, "start": start}[%r]()
"""


PRINTS = """
import sys
from facerecon_ray.cli import app, start
app.app.command('shout')(lambda: app.out.print('x' * 100))
sys.argv = ['facerecon', 'shout']
start()
"""


@pytest.mark.parametrize(
    ("where", "code", "line"),
    [("/dev/full", 2, "error: where this is printed to: No space left on device"), ("&-", 0, "")],
)
def test_a_place_to_print_to_that_is_full_or_not_there_is_one_line_at_most(where: str, code: int, line: str) -> None:
    command = f'exec "$0" -m facerecon_ray model --help >{where}' if code == 0 else f'exec "$0" -c "{PRINTS}" >{where}'
    ended = subprocess.run(["sh", "-c", command, sys.executable], stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr.strip()) == (code, line)


def test_a_current_folder_that_is_deleted_is_one_line(tmp_path: Path) -> None:
    command = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m facerecon_ray reconstruct photos --output out'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert ended.stderr.strip() == "error: the current folder does not exist any more; change to another one"


@pytest.mark.parametrize("arguments, code", [(["--version"], 0), (["reconstruct", "--config", "missing.yaml"], 2)])
def test_what_aborts_while_libraries_are_taken_down_does_not_change_the_exit_code(
    arguments: list[str], code: int
) -> None:
    ended = [
        subprocess.run(
            [sys.executable, "-c", ABORTS_WHEN_TAKEN_DOWN % name, "-", *arguments], capture_output=True, text=True
        )
        for name in ("main", "start")
    ]
    assert ended[0].returncode < 0, "it does abort"
    assert ended[1].returncode == code
    assert "exit functions ran" in ended[1].stdout
    assert ("facerecon 0" in ended[1].stdout) == (code == 0)


SAVES_FOR_LONG = """
import sys, time
from facerecon_ray.cli import app, start

def work():
    try:
        print("working", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("saving", flush=True)
        time.sleep(60)

app.app.command('work')(work)
sys.argv = ['facerecon', 'work']
start()
"""


def working(*before: str) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-c", SAVES_FOR_LONG]
    # The tests themselves may run under nohup.
    default = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    job = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=default)
    assert job.stdout and job.stdout.readline() == "working\n"
    return job


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_stops_the_second_is_answered_and_the_third_ends_all(number: signal.Signals) -> None:
    job = working()
    assert job.stdout and job.stderr
    job.send_signal(number)
    assert job.stdout.readline() == "saving\n"
    job.send_signal(number)
    assert job.stderr.readline().startswith("Stopping already; once more ends at once")
    job.send_signal(number)
    assert job.communicate(timeout=10) == ("", "")
    assert job.returncode == 130


def test_a_job_under_nohup_outlives_the_terminal() -> None:
    job = working("sh", "-c", 'trap \'\' HUP; exec "$0" "$@"')
    job.send_signal(signal.SIGHUP)
    job.send_signal(signal.SIGTERM)
    assert job.stdout and job.stdout.readline() == "saving\n"
    job.kill()
    assert job.communicate()[1] == ""
