"""Hosts that share nothing: that they do, and that nothing is left of them."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from isolated_hosts import HEAD, HOSTS, ROOT, STORE, WORKERS, IsolatedHosts, why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"no namespaces: {REASON}")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedHosts]:
    made = IsolatedHosts(tmp_path_factory.mktemp("hosts") / "network")
    yield made
    made.close()


def test_a_host_sees_no_file_process_or_name_of_another(hosts: IsolatedHosts, tmp_path: Path):
    hosts.run(HEAD, "sh", "-c", "echo mine > /tmp/mine && echo mine > ~/mine && echo mine > /dev/shm/mine")
    seen = "for name in /tmp ~ /dev/shm; do ls $name; done; hostname; ls -d /proc/[0-9]* | wc -l"
    *files, name, processes = hosts.run(WORKERS[0], "sh", "-c", seen).splitlines()
    assert "mine" not in files and name == WORKERS[0] and int(processes) < 10
    refused = (
        f"touch {ROOT}/mine {sys.prefix}/mine 2>/dev/null || echo read-only; ls {tmp_path} 2>/dev/null || echo none"
    )
    assert hosts.run(HEAD, "sh", "-c", refused).split() == ["read-only", "none"]
    assert hosts.run(HEAD, sys.executable, "-c", "import facerecon_ray; print('equal')") == "equal\n"


CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=2)
except OSError as error:
    print(type(error).__name__)
"""


def test_hosts_reach_each_other_and_nothing_else(hosts: IsolatedHosts):
    def connect(host: str, target: str) -> str:
        return hosts.run(host, sys.executable, "-c", CONNECT, target).strip()

    assert connect(HEAD, STORE) == connect(HEAD, hosts.hosts.address(WORKERS[1])) == "ConnectionRefusedError"
    assert connect(HEAD, "198.51.100.1") == "OSError"
    hosts.hosts.kill(WORKERS[1])
    assert connect(HEAD, WORKERS[1]) in ("TimeoutError", "OSError")
    hosts.hosts.boot(WORKERS[1])
    assert connect(HEAD, WORKERS[1]) == "ConnectionRefusedError"


def test_nothing_is_left_when_who_holds_the_hosts_is_killed(tmp_path: Path):
    made = IsolatedHosts(tmp_path / "network")
    sleeper = made.begin(HEAD, "sleep", "1000", log="sleeper.log")
    family = [process for process in psutil.process_iter() if _is_of(process, tmp_path)]
    assert len(family) > len(HOSTS)
    os.kill(made.pid, signal.SIGKILL)
    sleeper.wait(20)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert (
        "cable" not in Path("/proc/self/net/dev").read_text() and str(tmp_path) not in Path("/proc/mounts").read_text()
    )


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False
