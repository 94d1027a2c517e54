"""Hosts that share nothing, for tests."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "cluster"))
from hosts import ENVIRONMENT, Hosts, why_not

__all__ = ["HEAD", "HOSTS", "STORE", "WORKERS", "IsolatedHosts", "why_not"]

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "cluster" / "hosts.py"
STORE, HEAD, WORKERS = "store", "host-1", ("host-2", "host-3")
HOSTS = (HEAD, *WORKERS)
SECONDS = 240


class IsolatedHosts:
    """Hosts of `cluster/hosts.py` for the duration: host-1, host-2, host-3, and store."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._environment = {**ENVIRONMENT, "HOME": str(Path.home().resolve())}
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT), f"--folder={folder / 'hosts'}", "start", "--host", STORE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(len(HOSTS) + 1)]
        assert lines[-1], "the hosts did not start"
        self.hosts = Hosts(folder / "hosts")

    @property
    def pid(self) -> int:
        """Of the process that holds the hosts."""
        return self._process.pid

    def close(self) -> None:
        """Take the hosts away, with all that runs on them."""
        self._process.communicate(timeout=60)

    def set_variables(self, **variables: str) -> None:
        """Of all commands from now on."""
        self._environment.update(variables)

    def begin(self, host: str, *words: str, log: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a command on a host; its output goes into a file."""
        with (self.folder / log).open("a") as output:
            return subprocess.Popen(
                self.hosts.command(host, *words),
                env=self._environment,
                stdin=stdin,
                stdout=output,
                stderr=output,
                text=True,
            )

    def run(self, host: str, *words: str, timeout: float = SECONDS, feed: str = "") -> str:
        """What a command on a host prints."""
        done = subprocess.run(
            self.hosts.command(host, *words),
            env=self._environment,
            input=feed,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout
