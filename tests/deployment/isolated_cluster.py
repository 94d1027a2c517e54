"""A Ray cluster on hosts that share nothing, with an S3 store on a host of its own, used as people use one."""

import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from isolated_hosts import ENVIRONMENT, HEAD, STORE, WORKERS, IsolatedHosts
from s3_server import CREDENTIALS

VIEW = str(Path(__file__).with_name("isolated_view.py"))
BUCKET = "work"
CPUS = 1
STORE_BYTES = 150_000_000


class IsolatedCluster(IsolatedHosts):
    """Those hosts with Ray and the store running."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        try:
            self.set_variables(
                **CREDENTIALS,
                AWS_ENDPOINT_URL_S3=f"http://{self.hosts.address(STORE)}:8333",
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
            )
            address = self.hosts.address(STORE)
            options = ["-dir=/tmp", f"-ip={address}", f"-ip.bind={address}", "-s3.port=8333", "-volume.max=100"]
            self.begin(STORE, "weed", "mini", *options, log="store.log")
            self._start_ray()
        except BaseException:
            self.close()
            raise

    def submit(self, name: str, job: dict[str, Any]) -> subprocess.Popen[str]:
        """Submit a job from the store's host and follow it; its name has to be new to the cluster."""
        path = f"/tmp/{name}.yaml"
        self.run(STORE, "tee", path, feed=yaml.safe_dump(job))
        return self.begin(STORE, "facerecon", "submit", path, "--installed", "--id", name, log=f"{name}.log")

    def view(self, *words: str) -> None:
        """Run `isolated_view.py` beside the store."""
        self.run(STORE, sys.executable, VIEW, *words)

    def log(self, name: str) -> str:
        """What a job has printed."""
        return (self.folder / f"{name}.log").read_text()

    def _start_ray(self) -> None:
        """Start the head, which does no work, and a node on each other host, and wait for all."""
        self._start_node(HEAD, "--head", "--num-cpus=0", "--dashboard-host=0.0.0.0", "--port=6379")
        self.view("nodes", "1")
        for number, host in enumerate(WORKERS, 2):
            self._start_node(host, f"--address={self.hosts.address(HEAD)}:6379", f"--num-cpus={CPUS}")
            self.view("nodes", str(number))

    def _start_node(self, host: str, *options: str) -> None:
        own = [f"--node-ip-address={self.hosts.address(host)}", f"--object-store-memory={STORE_BYTES}"]
        # A node gives up when it does not come up within Ray's 30 seconds, as on a machine that has much else to do.
        again = 'for attempt in 1 2 3 4 5; do "$@" || sleep 1; done'
        self.begin(host, "sh", "-c", again, "sh", "ray", "start", "--block", *own, *options, log=f"{host}.log")
