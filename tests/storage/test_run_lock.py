import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from s3_server import S3Server

from facerecon_ray.errors import OutputError
from facerecon_ray.storage import run_lock
from facerecon_ray.storage.objects import open_store
from facerecon_ray.storage.run_lock import LOCK, bucket_lock, claimed
from facerecon_ray.storage.s3_store import S3Store

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from facerecon_ray.config.storage import S3Settings
from facerecon_ray.storage.run_lock import bucket_lock
from facerecon_ray.storage.s3_store import S3Store
with bucket_lock(S3Store(sys.argv[1], "out", S3Settings(endpoint_url=sys.argv[2]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(seaweed: S3Server) -> S3Store:
    store = open_store(f"s3://{seaweed.bucket()}/out", seaweed.settings)
    assert isinstance(store, S3Store)
    return store


def elsewhere(store: S3Store) -> None:
    """Make the lock look as if a process on another machine had taken it."""
    store.write(LOCK, json.dumps({**json.loads(store.read(LOCK)), "host": "another"}).encode())


def test_a_folder_of_a_file_system_without_locks_is_written_to_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.setattr(run_lock, "say", said.append)

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(run_lock.fcntl, "flock", no_locks)
    with claimed(open_store(tmp_path)):
        pass
    assert said == [f"output {tmp_path}: its file system has no locks, so nothing keeps a second run out of it"]


def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(OutputError), claimed(open_store("/proc/facerecon-out")):
        pass


def test_a_claimed_folder_is_closed_to_others_until_it_is_released(tmp_path: Path):
    first, second = open_store(tmp_path / "out"), open_store(tmp_path / "out")
    with claimed(first), pytest.raises(OutputError, match="another run"), claimed(second):
        pass
    with claimed(second):
        pass


def test_what_a_killed_run_left_unfinished_is_deleted_and_nothing_else(tmp_path: Path):
    left = [tmp_path / "checkpoints" / f".last.pt.{'0f' * 8}.tmp", tmp_path / f".card.md.{'a1' * 8}.tmp"]
    kept = [tmp_path / "checkpoints" / "last.pt", tmp_path / ".mine.tmp", tmp_path / "photos" / left[0].name]
    for path in (*left, *kept):
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    with claimed(open_store(tmp_path)):
        assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


def test_a_held_prefix_is_closed_to_others_until_it_is_released(store: S3Store):
    with (
        bucket_lock(store, heartbeat=0.2),
        pytest.raises(OutputError, match="another run is writing"),
        bucket_lock(store),
    ):
        pass
    assert not store.exists(LOCK)
    with bucket_lock(store):
        pass


def test_the_lock_of_a_killed_process_of_this_machine_is_taken_over_at_once(store: S3Store):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, store.bucket, store.settings.endpoint_url or ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with bucket_lock(store, expiry=10_000):
        assert store.exists(LOCK)


def test_the_lock_of_another_machine_is_taken_over_when_it_has_expired_and_its_holder_is_told(store: S3Store):
    with bucket_lock(store, heartbeat=0.5) as check:
        check()
        elsewhere(store)
        with bucket_lock(store, heartbeat=3600, expiry=1.5):
            deadline = time.monotonic() + 20
            with pytest.raises(OutputError, match="has taken it over"):
                while time.monotonic() < deadline:
                    check()
                    time.sleep(0.1)
        assert not store.exists(LOCK)


def test_of_many_runs_that_find_an_expired_lock_one_takes_it(store: S3Store):
    store.write(LOCK, b"{}")
    time.sleep(2.1)
    outcomes = []
    others = threading.Semaphore(0)

    def run() -> None:
        try:
            with bucket_lock(store, heartbeat=0.3, expiry=1.0):
                outcomes.append("held")
                for _ in range(3):
                    others.acquire(timeout=10)
        except OutputError:
            outcomes.append("refused")
            others.release()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", *["refused"] * 3]
