"""Start and stop Ray without a word from it on the terminal."""

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
import ray._private.worker
import ray.data
from ray._common.utils import get_system_memory
from ray._private.utils import get_shared_memory_bytes

from facerecon_ray.errors import FaceReconError

_SMALLEST_OBJECT_STORE = 512 << 20
_OBJECT_STORE_SHARE = 1 / 8
_SHARED_MEMORY_SHARE = 0.9
_CONNECT_SECONDS = 10.0
# Without a token of its own, Ray writes one into the home folder.
_TOKEN = secrets.token_hex(32)
# Unix sockets lie in Ray's folder, and their paths may have 107 characters at most.
_SHORT_FOLDER = "/tmp"


@contextmanager
def ray_session(address: str | None = None) -> Iterator[None]:
    """Connect to a Ray cluster, or start one on this machine, for the duration.

    A session within a session uses the outer one.

    Parameters
    ----------
    address : of a running cluster; without one RAY_ADDRESS, and without that a cluster of its own

    Raises
    ------
    FaceReconError
        when the cluster does not answer, or Ray cannot start
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or None
    folder = None if address else Path(tempfile.mkdtemp(prefix="facerecon-", dir=_SHORT_FOLDER))
    try:
        _start(address, folder)
        yield
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _start(address: str | None, folder: Path | None) -> None:
    warnings.filterwarnings("ignore", module=r"ray\..*")
    # Messages of the raylet come from a thread that prints to stdout and asks no setting.
    ray._private.worker._worker_logs_enabled = False
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
        }
    try:
        with _unchanged_signals(), _silent_stderr():
            ray.init(address=address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:
        where = f"connect to the Ray cluster {address}" if address else "start Ray"
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FaceReconError(f"cannot {where}: {reason}") from error
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
    share = min(get_system_memory() * _OBJECT_STORE_SHARE, get_shared_memory_bytes() * _SHARED_MEMORY_SHARE)
    return max(_SMALLEST_OBJECT_STORE, int(share))


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
def _silent_stderr() -> Iterator[None]:
    """Ray's C++ part writes to file descriptor 2 while it starts."""
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def _unchanged_signals() -> Iterator[None]:
    """Ray replaces the handler of SIGTERM; a job that is terminated must be able to save what it has."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if in_main_thread:
        signal.signal(signal.SIGTERM, handler)
