"""Where the photos of a run come from: its plan, and behind it the listing of the input, which goes on meanwhile."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from facerecon_ray.pipeline.shard_work import ShardWork
from facerecon_ray.storage.manifest import Manifest, part_name
from facerecon_ray.storage.photos.known_photos import KnownPairs, PlannedPhoto
from facerecon_ray.storage.photos.photo_listing import PhotoListing
from facerecon_ray.storage.photos.photo_plan import PhotoPlan, PlanObject, Shard

LARGEST_WAVE = 1 << 16
"""Photos that are handed out at a time at most."""

_WAVE_SECONDS = 2.0
_FLUSH_SECONDS = 1.0
_FLUSH_PHOTOS = 1 << 14
_STOP_SECONDS = 5.0
_CHUNK = 1000


@dataclass(frozen=True)
class Earlier:
    """What earlier runs have left.

    shards  numbers of the shards that have a part in the manifest
    open    those of them whose part may lack some photos
    """

    shards: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()


class PhotoSource:
    """Hands out shards while the input is still being listed; photos that the plan does not have are added to it.

    The driver holds the names of the plan's objects and 16 bytes for each photo; the photos themselves are read from
    the plan when it is their turn.

    planned   photos in the plan so far
    done      of them, those that earlier runs have done; counted before the listing starts
    todo      photos that are still to be done so far
    closed    numbers of the shards that were open and whose missing photos, if any, were handed out
    """

    def __init__(
        self,
        listing: PhotoListing,
        plan: PhotoPlan,
        manifest: Manifest,
        earlier: Earlier,
        limit: int | None = None,
        retry_failed: bool = False,
    ) -> None:
        self.planned = self.done = self.todo = 0
        self.listed = False
        self.closed: set[int] = set()
        self._listing, self._plan, self._manifest = listing, plan, manifest
        self._earlier, self._limit, self._retry = earlier, limit, retry_failed
        self._queue: queue.SimpleQueue[PlanObject | BaseException | None] = queue.SimpleQueue()
        self._works: Iterator[ShardWork] = iter(())
        self._ended = self._stopped = False

    @property
    def counted(self) -> bool:
        """Whether `todo` is the number of all photos of this run."""
        return self._ended or (self.listed and not self._retry and not self._earlier.open)

    @contextmanager
    def listing(self) -> Iterator[None]:
        """List the input in a thread for the duration."""
        thread = threading.Thread(target=self._list, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped = True
            thread.join(_STOP_SECONDS)

    def next_wave(self) -> list[ShardWork]:
        """What is to be done next, nothing at the end.

        Waits for the first shard, and then a little for more.

        Raises
        ------
        FaceReconError
            when the input cannot be listed or the plan cannot be written
        """
        wave: list[ShardWork] = []
        photos, deadline = 0, float("inf")
        while photos < LARGEST_WAVE:
            work = next(self._works, None)
            if work is None:
                if self._ended or not self._open_next(deadline):
                    break
                continue
            wave.append(work)
            photos += len(work.todo)
            deadline = min(deadline, time.monotonic() + _WAVE_SECONDS)
        return wave

    def _open_next(self, deadline: float) -> bool:
        """Turn to the next object of the plan; False when there is none (in time)."""
        try:
            if deadline == float("inf"):
                part = self._queue.get()
            else:
                part = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return False
        if isinstance(part, BaseException):
            raise part
        if part is None:
            self._ended = True
            return False
        self._works = self._works_of(part)
        return True

    def _works_of(self, part: PlanObject) -> Iterator[ShardWork]:
        numbers = range(part.shard, part.shard + part.shards)
        is_done = self._earlier.shards.issuperset(numbers) and self._earlier.open.isdisjoint(numbers)
        if is_done and not self._retry:
            return
        for shard in self._plan.shards(part):
            if self._limit is not None and shard.first >= self._limit:
                return
            if shard.number not in self._earlier.shards:
                yield ShardWork.whole(shard)
            elif self._retry or shard.number in self._earlier.open:
                work = self._rest(shard, self._retry)
                self.todo += len(work.todo)
                self.closed.add(shard.number)
                if work.todo:
                    yield work

    def _rest(self, shard: Shard, retry_failed: bool) -> ShardWork:
        """What is left to do of a shard that has a part in the manifest."""
        return ShardWork.rest(shard, self._manifest.read(part_name(shard.number)), retry_failed)

    def _list(self) -> None:
        try:
            known = KnownPairs()
            for part, shards in self._plan.stored():
                self._count(part, shards, known)
            self._add_new(known)
            self.listed = True
            self._queue.put(None)
        except BaseException as error:  # noqa: BLE001 - raised by the thread that asks for photos
            self._queue.put(error)

    def _count(self, part: PlanObject, shards: list[Shard], known: KnownPairs) -> None:
        for shard in shards:
            known.add_new(shard.planned)
            if shard.number in self._earlier.open:
                self.done += len(shard.photos) - len(self._rest(shard, retry_failed=False).todo)
            elif shard.number in self._earlier.shards:
                self.done += len(shard.photos)
            elif self._limit is None or shard.first < self._limit:
                self.todo += len(shard.photos)
        self.planned += part.photos
        self._queue.put(part)

    def _add_new(self, known: KnownPairs) -> None:
        pending: list[PlannedPhoto] = []
        last = time.monotonic()
        for chunk in self._chunks():
            pending += known.add_new(chunk)
            room = None if self._limit is None else max(0, self._limit - self.planned)
            is_full = room is not None and len(pending) >= room
            is_due = len(pending) >= _FLUSH_PHOTOS or time.monotonic() - last >= _FLUSH_SECONDS
            if is_full or is_due:
                self._flush(pending[:room])
                pending, last = [], time.monotonic()
            if is_full or self._stopped:
                return
        self._flush(pending)

    def _chunks(self) -> Iterator[list[PlannedPhoto]]:
        """Photos of the listing, some at a time."""
        chunk: list[PlannedPhoto] = []
        last = time.monotonic()
        for photo in self._listing.planned():
            chunk.append(photo)
            if len(chunk) >= _CHUNK or time.monotonic() - last >= _FLUSH_SECONDS:
                yield chunk
                chunk, last = [], time.monotonic()
        yield chunk

    def _flush(self, photos: list[PlannedPhoto]) -> None:
        if photos and not self._stopped:
            part = self._plan.add(photos)
            self.planned += part.photos
            self.todo += part.photos
            self._queue.put(part)
