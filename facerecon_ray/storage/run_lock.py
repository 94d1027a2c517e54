"""Keeps two runs out of one output: a file lock on a disk, an object with a heartbeat in a bucket."""

import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facerecon_ray.errors import OutputError, StorageError
from facerecon_ray.storage.folder_store import NOT_SUPPORTED, FolderStore
from facerecon_ray.storage.layout import MANIFEST, PACKS, PLAN
from facerecon_ray.storage.objects import ObjectStore, as_bucket
from facerecon_ray.waiting import announced, say

if TYPE_CHECKING:
    from facerecon_ray.storage.s3_store import S3Store

LOCK = ".facerecon.lock"
HEARTBEAT_SECONDS = 15.0
EXPIRY_SECONDS = 60.0

_FOLDERS = (".", MANIFEST, PACKS, PLAN, "shards", "checkpoints", "samples")

Check = Callable[[], None]


@contextmanager
def claimed(store: ObjectStore) -> Iterator[Check]:
    """Keep every other run out of an output for the duration; a folder is created.

    What a killed run has left unfinished in a folder is deleted, but not among the files of faces, which are many.

    Yields
    ------
    A function that raises OutputError once another run has taken over

    Raises
    ------
    OutputError
        when a folder cannot be created or another run is writing
    """
    bucket = as_bucket(store)
    with bucket_lock(bucket) if bucket else folder_lock(Path(store.uri)) as check:
        if isinstance(store, FolderStore):
            store.delete_unfinished(_FOLDERS)
        yield check


@contextmanager
def folder_lock(folder: Path) -> Iterator[Check]:
    """Hold a folder, which is created; the system lets go of it when the process ends in whatever way.

    Raises
    ------
    OutputError
        when it cannot be created or another run holds it
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise OutputError(f"output {folder}: {error.strerror}; choose another output") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise _taken(str(folder)) from None
            say(f"output {folder}: its file system has no locks, so nothing keeps a second run out of it")
        yield lambda: None


@contextmanager
def bucket_lock(
    store: "S3Store", heartbeat: float = HEARTBEAT_SECONDS, expiry: float = EXPIRY_SECONDS
) -> Iterator[Check]:
    """Hold a prefix of a bucket by an object that is written anew every few seconds.

    The lock of a run that was killed is taken over: at once when it ran in this process's place on this machine, else
    when it has not been written anew for `expiry` seconds, for which this waits.

    Yields
    ------
    A function that raises OutputError once the lock is lost, as happens to a process that was suspended

    Raises
    ------
    OutputError
        when another run holds it
    """
    lock = _BucketLock(store, heartbeat, expiry)
    with announced(f"the lock of {store.uri}: its holder shows no sign of life, and has {expiry:g} seconds to do so"):
        lock.take()
    try:
        yield lock.check
    finally:
        lock.release()


class _BucketLock:
    def __init__(self, store: "S3Store", heartbeat: float, expiry: float) -> None:
        self._store, self._heartbeat, self._expiry = store, heartbeat, expiry
        self._etag = ""
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def take(self) -> None:
        seen: str | None = None
        while not (own := self._store.replace(LOCK, self._contents(), None)):
            held = self._store.age(LOCK)
            if held is None:
                continue
            age, etag = held
            if seen is not None and etag != seen:
                raise _taken(self._store.uri)
            seen = etag
            if age > self._expiry or _is_dead(self._read()):
                own = self._store.replace(LOCK, self._contents(), etag)
                if not own:
                    raise _taken(self._store.uri)
                break
            time.sleep(min(1.0, self._heartbeat / 4))
        self._etag = own
        self._thread.start()

    def check(self) -> None:
        if self._lost:
            raise OutputError(f"output {self._store.uri}: another run has taken it over; wait until that one ends")

    def release(self) -> None:
        """Delete the lock if it is still this run's; one that stays behind expires."""
        self._stop.set()
        self._thread.join()
        try:
            held = self._store.age(LOCK)
            if held and held[1] == self._etag:
                self._store.delete(LOCK)
        except StorageError:
            return

    def _beat(self) -> None:
        while not self._stop.wait(self._heartbeat):
            try:
                own = self._store.replace(LOCK, self._contents(), self._etag)
            except StorageError:
                # The store does not answer. If that lasts until others take the lock over, the next beat finds out.
                continue
            if not own:
                self._lost = True
                return
            self._etag = own

    def _read(self) -> dict[str, Any]:
        try:
            holder = json.loads(self._store.read(LOCK))
        except (StorageError, ValueError):
            return {}
        return holder if isinstance(holder, dict) else {}

    def _contents(self) -> bytes:
        return json.dumps({**_own_place(), "beat": secrets.token_hex(8)}).encode()


def _own_place() -> dict[str, Any]:
    """Names this process for others of the same machine and container; {} where the system does not tell."""
    try:
        return {
            "host": socket.gethostname(),
            "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "container": str(Path("/proc/self/ns/pid").readlink()),
            "process": os.getpid(),
            "started": _start_of(os.getpid()),
        }
    except OSError:
        return {}


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether a lock's process ran beside this one and has ended."""
    place = _own_place()
    if not place or any(holder.get(name) != place[name] for name in ("host", "boot", "container")):
        return False
    return _start_of(holder["process"]) != holder["started"]


def _start_of(process: int) -> str | None:
    """When a process was started, in ticks since the machine was; None when there is none of that number."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _taken(uri: str) -> OutputError:
    return OutputError(f"output {uri}: another run is writing to it; wait until it ends")
