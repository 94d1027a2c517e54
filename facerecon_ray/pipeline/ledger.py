"""Bookkeeper of a run: what the workers have in hand, which of them take too long, and how much may be begun."""

import pickle
import threading
import time
from typing import Any

import ray

from facerecon_ray.cluster.keepers import beside_the_driver
from facerecon_ray.cluster.ray_internals import is_alive

Item = tuple[int, int]
"""Place of a photo in the plan, and the number of a face, -1 for the photo as a whole."""

GO = (True, "")
ONE_BY_ONE = (False, "")

_LOSSES_ALONE = 2
_STARTS = 4
_WATCH_SECONDS = 1.0
_STALLED_SECONDS = 60.0
_IDLE_SECONDS = 10.0
_LONGEST_START = 120.0


class Ledger:
    """Survives the workers, so it knows what they had in hand when they died. Runs as an actor beside the driver.

    Items that a worker began and never ended were lost with it. Lost items are begun again one by one, and an item
    that is lost twice alone is given up: it is what kills the workers.

    Every batch of every stage passes here, so no call waits for anything: one thread answers them in turn.

    Parameters
    ----------
    window : photos that may be begun and not yet recorded; so many a killed driver has to do again at most
    seconds : after which a worker that is still busy with the same items is killed
    """

    def __init__(self, window: int, seconds: float) -> None:
        self._window, self._seconds = window, seconds
        self._admitted: set[int] = set()
        self._waiting: dict[int, float] = {}
        self._in_flight = 0
        self._last_record = time.monotonic()
        self._lost: dict[tuple[str, Item], int] = {}
        self._lost_alone: dict[tuple[str, Item], int] = {}
        self._part: dict[tuple[str, Item], str] = {}
        self._overdue: set[tuple[str, Item]] = set()
        self._running: dict[str, tuple[float, tuple[str, Item], bytes]] = {}
        self._starts: dict[str, int] = {}
        self._starting: dict[str, tuple[str, float]] = {}
        self._last_event = time.monotonic()
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def admit(self, first: int, photos: int) -> bool:
        """Whether there is room for a block of photos; a block that was admitted once is not counted again.

        Parameters
        ----------
        first : place of the block's first photo in the plan
        photos : number of its photos
        """
        if first not in self._admitted:
            now = time.monotonic()
            # What is in flight waits for this block perhaps: a shard is recorded when all of it is there.
            is_stalled = now - max(self._waiting.setdefault(first, now), self._last_record) > _STALLED_SECONDS
            # Photos between two stages are lost with their node. To read them again may be the next task of the very
            # worker that waits here, so where nobody has anything in hand nobody makes room.
            is_idle = not self._running and now - self._last_event > _IDLE_SECONDS
            if self._in_flight and self._in_flight + photos > self._window and not (is_stalled or is_idle):
                return False
            del self._waiting[first]
            self._last_event = now
            self._admitted.add(first)
            self._in_flight += photos
        return True

    def record(self, photos: int) -> None:
        """Make room: so many photos are in the manifest."""
        self._in_flight -= photos
        self._last_record = self._last_event = time.monotonic()

    def start(self, worker: str, node: str) -> bool:
        """Whether a worker on this node may load its models; not when it has died of that several times."""
        with self._lock:
            self._running.pop(worker, None)
        self._last_event = time.monotonic()
        self._starting[worker] = node, self._last_event
        self._starts[worker] = self._starts.get(worker, 0) + 1
        return self._starts[worker] <= _STARTS

    def started(self, worker: str) -> None:
        """Say that a worker has loaded its models."""
        self._starts.pop(worker, None)
        self._starting.pop(worker, None)
        self._last_event = time.monotonic()

    def quiet_seconds(self) -> float:
        """For how long nothing has been begun or ended, 0 while a worker that runs starts or has something in hand."""
        now = time.monotonic()
        with self._lock:
            busy = list(self._running)
        # One that died of its start, and found no room again, never says that it has started.
        starting = {node for node, begun in self._starting.values() if now - begun < _LONGEST_START}
        nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        if any(map(is_alive, busy)) or nodes & starting:
            return 0.0
        return now - self._last_event

    def begin(self, stage: str, items: list[Item], worker: str, handle: bytes) -> tuple[bool, str]:
        """Say what a worker, of this name and with this pickled handle, is about to do.

        Returns
        -------
        GO, ONE_BY_ONE when some of the items were lost before, or (False, reason) when an item is to be given up
        """
        keys = [(stage, item) for item in items]
        self._last_event = time.monotonic()
        with self._lock:
            if len(keys) > 1:
                if any(key in self._lost for key in keys):
                    return ONE_BY_ONE
            elif self._lost_alone.get(keys[0], 0) >= _LOSSES_ALONE:
                return False, self._reason(keys[0])
            else:
                self._lost_alone[keys[0]] = self._lost_alone.get(keys[0], 0) + 1
            for key in keys:
                self._lost[key] = self._lost.get(key, 0) + 1
            self._running[worker] = (time.monotonic() + self._seconds, keys[0], handle)
        return GO

    def enter(self, stage: str, item: Item, part: str) -> None:
        """Say which of the stages that share a worker is about to process an item that is alone in its batch."""
        with self._lock:
            self._part[stage, item] = part

    def end(self, stage: str, items: list[Item], worker: str) -> None:
        """Say that it is done."""
        self._last_event = time.monotonic()
        with self._lock:
            self._running.pop(worker, None)
            for item in items:
                key = (stage, item)
                self._lost.pop(key, None)
                self._lost_alone.pop(key, None)
                self._part.pop(key, None)
                self._overdue.discard(key)

    def _reason(self, key: tuple[str, Item]) -> str:
        what = f"took longer than {self._seconds:g} seconds" if key in self._overdue else "ended its worker process"
        return (
            f"{self._part.get(key, key[0])} stage gave up: alone in its batch the photo {what}, {_LOSSES_ALONE} times"
        )

    def _watch(self) -> None:
        while True:
            time.sleep(min(_WATCH_SECONDS, self._seconds / 4))
            now = time.monotonic()
            with self._lock:
                late = {worker: about for worker, about in self._running.items() if now > about[0]}
                for worker in late:
                    del self._running[worker]
            for worker, (_, key, handle) in late.items():
                if is_alive(worker):
                    with self._lock:
                        self._overdue.add(key)
                    ray.kill(pickle.loads(handle), no_restart=False)


def start_ledger(window: int, seconds: float) -> Any:
    """Handle of a ledger, with which it ends."""
    return beside_the_driver(Ledger).remote(window, seconds)
