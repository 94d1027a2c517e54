import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from facerecon_ray.jobs import session

ROOT = str(Path(__file__).parents[2])
SCRIPT = """
import os, psutil, ray, warnings
from facerecon_ray.jobs.session import ray_session
class Broken:
    def __init__(self): raise ValueError("broken")
    def __call__(self, batch): return batch
with ray_session():
    try:
        ray.data.range(4).map_batches(Broken, compute=ray.data.ActorPoolStrategy(size=1), num_cpus=0.1).materialize()
    except ray.exceptions.RayError:
        folder = ray._private.worker.global_worker.node.get_session_dir_path()
        closed = os.path.dirname(os.path.dirname(folder))
        assert os.stat(closed).st_mode & 0o777 == 0o700
    started = [part for child in psutil.Process().children(recursive=True) for part in child.cmdline()]
    assert [part for part in started if part.endswith(".py") and "/ray/" in part and "/workers/" not in part] == []
    assert ray.util.list_named_actors(all_namespaces=True) == []
assert len(folder) < 80 and not os.path.exists(closed)
"""


def test_ray_says_nothing_on_the_terminal_and_leaves_nothing_behind(tmp_path: Path):
    # Some other Ray has left it, and the script imports Ray before this package.
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("1" * 64)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / ("long" * 20))}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment | {"PYTHONPATH": ROOT}, capture_output=True, text=True
    )
    # On a busy machine the product itself says what it waits for.
    said = result.stderr.replace("waiting for Ray to start\n", "")
    assert (result.returncode, result.stdout, said) == (0, "", "")
    assert list(tmp_path.rglob("*")) == [token.parent, token]


def test_what_a_session_has_started_ends_with_a_driver_that_is_killed(tmp_path: Path):
    script = "import ray\nfrom facerecon_ray.jobs.session import ray_session\nwith ray_session(): print(input())"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": ROOT, "HOME": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    family: list[psutil.Process] = []
    while process.poll() is None and "raylet" not in {member.name() for member in family}:
        family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert len(gone) > 1 and alive == []


def test_a_cluster_that_does_not_answer_is_one_clear_error_within_seconds():
    script = "from facerecon_ray.jobs.session import ray_session\nwith ray_session('127.0.0.1:1'): pass"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "FaceReconError: cannot connect to the Ray cluster 127.0.0.1:1" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="Ray's object store has a fixed size on other systems")
@pytest.mark.parametrize(("memory", "shared", "store"), [(2, 1, 0.5), (64, 32, 8), (64, 0.0625, 0.5), (64, 4, 3.6)])
def test_the_object_store_grows_with_the_memory_and_fits_into_the_shared_part(
    monkeypatch: pytest.MonkeyPatch, memory: float, shared: float, store: float
):
    monkeypatch.setattr(session, "get_system_memory", lambda: memory * 2**30)
    monkeypatch.setattr(session, "get_shared_memory_bytes", lambda: shared * 2**30)
    assert session._object_store_bytes() == int(store * 2**30)


@pytest.mark.skipif(sys.platform != "linux", reason="Ray's object store has a fixed size on other systems")
def test_the_object_store_leaves_room_in_a_limited_address_space():
    script = (
        "import resource as r; r.setrlimit(r.RLIMIT_AS, (8 << 30, 8 << 30)); import facerecon_ray.jobs.session as s"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"{script}; s.get_system_memory = lambda: 64 << 30; print(s._object_store_bytes())"],
        env={"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
    )
    assert int(result.stdout) == min(1 << 30, int(0.9 * session.get_shared_memory_bytes()))
