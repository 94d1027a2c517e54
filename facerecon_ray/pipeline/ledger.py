"""Bookkeeper of a run: what the workers have in hand, which of them take too long, and how much may be begun."""

import asyncio
import time
from typing import Any

import ray
from ray._private.state import actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Item = tuple[int, int]
"""Place of a photo in the plan, and the number of a face, -1 for the photo as a whole."""

GO = (True, "")
ONE_BY_ONE = (False, "")

_LOSSES_ALONE = 2
_STARTS = 4
_WATCH_SECONDS = 1.0
_STALLED_SECONDS = 60.0
_CALLS_AT_ONCE = 10_000


class Ledger:
    """Survives the workers, so it knows what they had in hand when they died. Runs as an actor beside the driver.

    Items that a worker began and never ended were lost with it. Lost items are begun again one by one, and an item
    that is lost twice alone is given up: it is what kills the workers.

    Parameters
    ----------
    window : photos that may be begun and not yet recorded; so many a killed driver has to do again at most
    seconds : after which a worker that is still busy with the same items is killed
    """

    def __init__(self, window: int, seconds: float) -> None:
        self._window, self._seconds = window, seconds
        self._admitted: set[int] = set()
        self._in_flight = 0
        self._recorded = asyncio.Event()
        self._lost: dict[tuple[str, Item], int] = {}
        self._lost_alone: dict[tuple[str, Item], int] = {}
        self._overdue: set[tuple[str, Item]] = set()
        self._running: dict[str, tuple[float, tuple[str, Item], Any]] = {}
        self._starts: dict[str, int] = {}
        self._watch: asyncio.Task[None] | None = None

    async def admit(self, first: int, photos: int) -> None:
        """Wait until there is room for a block of photos; a block that was admitted once is not counted again.

        Parameters
        ----------
        first : place of the block's first photo in the plan
        photos : number of its photos
        """
        while first not in self._admitted and self._in_flight and self._in_flight + photos > self._window:
            self._recorded.clear()
            try:
                await asyncio.wait_for(self._recorded.wait(), _STALLED_SECONDS)
            except TimeoutError:
                # What is in flight waits for this block perhaps: a shard is recorded when all of it is there.
                break
        if first not in self._admitted:
            self._admitted.add(first)
            self._in_flight += photos

    async def record(self, photos: int) -> None:
        """Make room: so many photos are in the manifest."""
        self._in_flight -= photos
        self._recorded.set()

    async def start(self, worker: str) -> bool:
        """Whether a worker may load its models; not when it has died of that several times."""
        self._running.pop(worker, None)
        self._starts[worker] = self._starts.get(worker, 0) + 1
        return self._starts[worker] <= _STARTS

    async def started(self, worker: str) -> None:
        """Say that a worker has loaded its models."""
        self._starts.pop(worker, None)

    async def begin(self, stage: str, items: list[Item], worker: str, handle: Any) -> tuple[bool, str]:
        """Say what a worker, of this name and with this handle, is about to do.

        Returns
        -------
        GO, ONE_BY_ONE when some of the items were lost before, or (False, reason) when an item is to be given up
        """
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._kill_overdue())
        keys = [(stage, item) for item in items]
        lost = any(key in self._lost for key in keys)
        if len(keys) > 1:
            if lost:
                return ONE_BY_ONE
        elif self._lost_alone.get(keys[0], 0) >= _LOSSES_ALONE:
            return False, self._reason(keys[0])
        else:
            self._lost_alone[keys[0]] = self._lost_alone.get(keys[0], 0) + 1
        for key in keys:
            self._lost[key] = self._lost.get(key, 0) + 1
        self._running[worker] = (time.monotonic() + self._seconds, keys[0], handle)
        return GO

    async def end(self, stage: str, items: list[Item], worker: str) -> None:
        """Say that it is done."""
        self._running.pop(worker, None)
        for item in items:
            key = (stage, item)
            self._lost.pop(key, None)
            self._lost_alone.pop(key, None)
            self._overdue.discard(key)

    def _reason(self, key: tuple[str, Item]) -> str:
        what = f"took longer than {self._seconds:g} seconds" if key in self._overdue else "ended its worker process"
        return f"{key[0]} stage gave up: alone in its batch the photo {what}, {_LOSSES_ALONE} times"

    async def _kill_overdue(self) -> None:
        while True:
            await asyncio.sleep(min(_WATCH_SECONDS, self._seconds / 4))
            now = time.monotonic()
            for worker, (deadline, key, handle) in list(self._running.items()):
                if now > deadline:
                    del self._running[worker]
                    if is_alive(worker):
                        self._overdue.add(key)
                        ray.kill(handle, no_restart=False)


def is_alive(worker: str) -> bool:
    """Whether an actor runs: one that has died by itself, and is being started again, is not stuck."""
    return bool(actors(worker).get("State") == "ALIVE")


def start_ledger(window: int, seconds: float) -> Any:
    """Handle of a ledger on the driver's node; it ends when nobody holds the handle any more."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor = ray.remote(
        num_cpus=0, max_restarts=-1, max_task_retries=-1, max_concurrency=_CALLS_AT_ONCE, scheduling_strategy=here
    )(Ledger)
    return actor.remote(window, seconds)
