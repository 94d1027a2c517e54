"""Start and stop Ray without a word from it on the terminal."""

import logging
import math
import os
import resource
import secrets
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray
import ray.data

from facerecon_ray.cluster.ray_data_internals import without_own_actors
from facerecon_ray.cluster.ray_internals import (
    NO_TOKEN,
    be_silent,
    few_processes,
    get_shared_memory_bytes,
    get_system_memory,
    read_environment_anew,
)
from facerecon_ray.cluster.scratch import scratch_folder
from facerecon_ray.cluster.tokens import token_advice
from facerecon_ray.cluster.worker_errors import explained
from facerecon_ray.errors import FaceReconError
from facerecon_ray.jobs.native_stderr import native_stderr
from facerecon_ray.waiting import announced

_SMALLEST_OBJECT_STORE = 512 << 20
_OBJECT_STORE_SHARE = 1 / 8
_SHARED_MEMORY_SHARE = 0.9
_CONNECT_SECONDS = 10.0
_CLIENT = "ray://"
_AGAIN = "start the same command again"
_NOT_A_NODE = "; from a machine that is no node of the cluster, its address is ray://HOST:10001"
# Without a token of its own, Ray writes one into the home folder.
_TOKEN = secrets.token_hex(32)


@contextmanager
def ray_session(address: str | None = None, runtime_environments: bool = False) -> Iterator[None]:
    """Connect to a Ray cluster, or start one on this machine, for the duration.

    A session within a session uses the outer one.

    Parameters
    ----------
    address : of a running cluster; without one RAY_ADDRESS, and without that a cluster of its own
    runtime_environments : whether workers of a cluster of its own may ask for environments of their own

    Raises
    ------
    FaceReconError
        when the cluster does not answer, Ray cannot start, or fails later
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    with nullcontext(None) if address else scratch_folder() as folder:
        try:
            _start(address, folder, runtime_environments)
            with nullcontext() if address else without_own_actors(), explained(_AGAIN):
                yield
        finally:
            ray.shutdown()


def _start(address: str | None, folder: Path | None, runtime_environments: bool) -> None:
    warnings.filterwarnings("ignore", module=r"ray\..*")
    be_silent()
    options = {}
    if address:
        _check_reachable(address)
    if folder:
        os.environ.setdefault("RAY_AUTH_TOKEN", _TOKEN)
        # Ray opens its folder to everybody; the one around it stays closed, for spilled blocks hold people's faces.
        options = {
            "_temp_dir": str(folder / "ray"),
            "object_store_memory": _object_store_bytes(),
            "include_dashboard": False,
            # Python processes for tasks, one for each CPU: this job runs actors, and those it asks for.
            "_system_config": {"prestart_worker_first_driver": False},
        }
    read_environment_anew()
    what = f"the Ray cluster {address}" if address else "Ray to start"
    hint = _NOT_A_NODE if address and not address.startswith(_CLIENT) else ""
    words = b""
    try:
        lean = nullcontext() if address else few_processes(runtime_environments)
        with _unchanged_signals(), announced(what + hint), native_stderr() as said, lean:
            try:
                ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **options)
            finally:
                said.seek(0)
                words = said.read()
    except Exception as error:
        if isinstance(error, ray.exceptions.AuthenticationError) or NO_TOKEN.encode() in words:
            raise FaceReconError(f"{what} {token_advice()}") from None
        where = f"connect to {what}" if address else "start Ray"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FaceReconError(f"cannot {where}: {reason}{hint}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    # Else every call of a worker starts a thread that measures memory, for statistics that nobody reads.
    context.memory_usage_poll_interval_s = None


def _object_store_bytes() -> int:
    """Room for what lies between the stages: Ray keeps workers idle where the batches of all have no room.

    Machines with many CPUs run many workers and have the memory. More than the shared memory would lie on a disk.
    """
    if not sys.platform.startswith("linux"):
        return _SMALLEST_OBJECT_STORE
    room, _ = resource.getrlimit(resource.RLIMIT_AS)
    shares = [
        get_system_memory() * _OBJECT_STORE_SHARE,
        get_shared_memory_bytes() * _SHARED_MEMORY_SHARE,
        math.inf if room == resource.RLIM_INFINITY else room * _OBJECT_STORE_SHARE,
    ]
    return max(_SMALLEST_OBJECT_STORE, int(min(shares)))


def _check_reachable(address: str) -> None:
    """Ray itself waits minutes for a cluster that is not there."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except OSError as error:
            reason = error.strerror or "no answer"
            raise FaceReconError(f"cannot connect to the Ray cluster {address}: {reason}") from None


@contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Ray replaces the handler of SIGTERM; a job that is terminated must be able to save what it has."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if in_main_thread:
        signal.signal(signal.SIGTERM, handler)
