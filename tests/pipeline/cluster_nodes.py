"""Ray clusters of several nodes on this machine whose nodes can be lost."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

SCRIPT = """
import sys
from ray.cluster_utils import Cluster
small = {"object_store_memory": 100 << 20}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **small})
nodes = [cluster.add_node(num_cpus=int(sys.argv[2]), **small) for _ in range(int(sys.argv[1]))]
print("address", cluster.address, flush=True)
for line in sys.stdin:
    node = next((node for node in nodes if node.node_id == line.strip()), nodes[-1])
    nodes.remove(node)
    cluster.remove_node(node, allow_graceful=False)
    print("removed", flush=True)
cluster.shutdown()
"""


class ClusterNodes:
    """A head without CPUs, on which only the driver runs, and nodes for the workers.

    In a process of its own, because Ray keeps the state of one cluster for each process.

    address  of the cluster
    folder   Ray's files
    """

    def __init__(self, count: int, cpus: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fr-", dir="/tmp"))
        (self.folder / "ray").mkdir()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(count), str(cpus)],
            env={**os.environ, "RAY_TMPDIR": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.address = line_of(self._process, "address ")

    def take_away(self, node: str = "") -> None:
        """Lose a node: the one with this id, or any."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{node}\n")
        self._process.stdin.flush()
        line_of(self._process, "removed")

    def stop(self) -> None:
        family = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
        self._process.communicate(timeout=60)
        _, alive = psutil.wait_procs(family, timeout=10)
        for member in alive:
            member.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def line_of(process: subprocess.Popen[str], start: str) -> str:
    """Rest of the next line that starts so; others are log messages."""
    assert process.stdout is not None
    seen = ""
    while not (line := process.stdout.readline()).startswith(start):
        seen += line
        assert line, seen
    return line.removeprefix(start).strip()
