"""A Ray cluster on hosts that share nothing, with an S3 store on a host of its own, used as people use one."""

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from isolated_hosts import ENVIRONMENT, HEAD, HOSTS, STORE, WORKERS, IsolatedHosts
from s3_server import CREDENTIALS

VIEW, DATA, GATE = (str(Path(__file__).with_name(f"isolated_{name}.py")) for name in ("view", "data", "gate"))
BUCKET = "work"
STORE_PORT, GATE_PORT = 8333, 8400
STORE_BYTES = 150_000_000
START_SECONDS = 400.0


class IsolatedCluster(IsolatedHosts):
    """Those hosts with Ray and the store running.

    Parameters
    ----------
    folder : new, for logs
    cpus : of each worker's host, as Ray counts them
    variables : of Ray and of all commands
    """

    def __init__(self, folder: Path, cpus: int = 1, **variables: str) -> None:
        super().__init__(folder)
        self._cpus = cpus
        try:
            self.set_variables(
                **CREDENTIALS,
                AWS_ENDPOINT_URL_S3=f"http://{self.hosts.address(STORE)}:{STORE_PORT}",
                AWS_EC2_METADATA_DISABLED="true",
                S3_BUCKET=BUCKET,
                RAY_AUTH_MODE="token",
                RAY_AUTH_TOKEN=secrets.token_hex(32),
                RAY_USAGE_STATS_ENABLED="0",
                RAY_prestart_worker_first_driver="0",
                RAY_worker_niceness="0",
                RAY_enable_worker_prestart="0",
                RAY_API_SERVER_ADDRESS=f"http://{HEAD}:8265",
                OMP_NUM_THREADS="1",
                PATH=f"{Path(sys.executable).parent}{os.pathsep}{ENVIRONMENT['PATH']}",
                **variables,
            )
            address = self.hosts.address(STORE)
            options = [
                "-dir=/tmp",
                f"-ip={address}",
                f"-ip.bind={address}",
                f"-s3.port={STORE_PORT}",
                "-volume.max=100",
            ]
            self.begin(STORE, "weed", "mini", *options, log="store.log")
            self.start_ray()
        except BaseException:
            self.close()
            raise

    def start_ray(self) -> None:
        """Start the head, which does no work, and a node on each other host, and wait for all."""
        self._start_node(HEAD, "--head", "--num-cpus=0", "--dashboard-host=0.0.0.0", "--port=6379")
        self.wait_for_nodes(1)
        for number, host in enumerate(WORKERS, 2):
            self._start_worker(host)
            self.wait_for_nodes(number)

    def lose(self, host: str) -> None:
        """Cut the power of a worker's host, and when the cluster has noticed, start it anew."""
        self.hosts.kill(host)
        self.wait_for_nodes(len(HOSTS) - 1)
        self.hosts.boot(host)
        self._start_worker(host)
        self.wait_for_nodes(len(HOSTS))

    def unplug(self, host: str, seconds: float = 0.0) -> None:
        """Pull the cable of a worker's host for so long, and until the cluster has noticed; then it joins again."""
        end = time.monotonic() + seconds
        self.hosts.link(host, "down")
        self.wait_for_nodes(len(HOSTS) - 1)
        time.sleep(max(end - time.monotonic(), 0.0))
        self.hosts.link(host, "up")
        self.wait_for_nodes(len(HOSTS))

    def lose_all(self) -> None:
        """Cut the power of all hosts but the store, and start them anew."""
        for host in HOSTS:
            self.hosts.kill(host)
        for host in HOSTS:
            self.hosts.boot(host)
        self.start_ray()

    def submit(self, name: str, job: dict[str, Any]) -> subprocess.Popen[str]:
        """Submit a job from the store's host and follow it; its name has to be new to the cluster."""
        path = f"/tmp/{name}.yaml"
        self.run(STORE, "tee", path, feed=yaml.safe_dump(job))
        return self.begin(STORE, "facerecon", "submit", path, "--installed", "--id", name, log=f"{name}.log")

    def data(self, *words: str) -> Any:
        """What `isolated_data.py` does beside the store."""
        return json.loads(self.run(STORE, sys.executable, DATA, *words))

    def wait_for_nodes(self, count: int) -> None:
        """Wait until just so many live."""
        self.run(STORE, sys.executable, VIEW, "nodes", str(count))

    def pause(self, host: str, name: str) -> subprocess.Popen[str]:
        """Have the first task of this name that runs on a host stand still; it ends when there was one."""
        return self.begin(host, sys.executable, VIEW, "pause", name, log="pauses.log")

    def wait_for_lines(self, log: str, text: str, count: int, writer: subprocess.Popen[str]) -> None:
        """Wait until a text is so often in a log, unless what it comes from ends before."""
        deadline = time.monotonic() + START_SECONDS
        goes_on = True
        while self.log(log).count(text) < count:
            assert goes_on and time.monotonic() < deadline, self.logs()
            goes_on = writer.poll() is None
            time.sleep(0.2)

    def log(self, name: str) -> str:
        """What a job has printed."""
        return (self.folder / f"{name}.log").read_text()

    def logs(self) -> str:
        """The end of each log."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in self.folder.glob("*.log"))

    def _start_worker(self, host: str) -> None:
        self._start_node(host, f"--address={self.hosts.address(HEAD)}:6379", f"--num-cpus={self._cpus}")

    def _start_node(self, host: str, *options: str) -> None:
        own = [f"--node-ip-address={self.hosts.address(host)}", f"--object-store-memory={STORE_BYTES}"]
        # A node gives up when it does not come up within Ray's 30 seconds, as on a machine that has much else to do.
        again = 'for attempt in 1 2 3 4 5; do "$@" || sleep 1; done'
        self.begin(host, "sh", "-c", again, "sh", "ray", "start", "--block", *own, *options, log=f"{host}.log")


class StoreGate:
    """`isolated_gate.py` before a cluster's store.

    endpoint  of the store through the gate
    """

    def __init__(self, cluster: IsolatedCluster) -> None:
        self._cluster = cluster
        self._held: dict[str, int] = {}
        address = cluster.hosts.address(STORE)
        self.endpoint = f"http://{address}:{GATE_PORT}"
        words = (sys.executable, GATE, address, str(STORE_PORT), str(GATE_PORT))
        self._process = cluster.begin(STORE, *words, log="gate.log", stdin=subprocess.PIPE)
        cluster.wait_for_lines("gate", "ready", 1, self._process)

    def allow(self, requests: str, count: int) -> None:
        """Let so many more in of the requests that begin so."""
        assert self._process.stdin is not None
        self._held[requests] = self._cluster.log("gate").count(_held(requests))
        self._process.stdin.write(f"{count} {requests}\n")
        self._process.stdin.flush()

    def wait_until_held(self, requests: str, job: subprocess.Popen[str]) -> None:
        """Wait until such a request of a job is refused, as it has had so many as it was allowed."""
        self._cluster.wait_for_lines("gate", _held(requests), self._held[requests] + 1, job)


def _held(requests: str) -> str:
    return f"held {requests}\n"
