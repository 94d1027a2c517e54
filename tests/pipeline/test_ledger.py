import asyncio
from typing import Any

import pytest

from facerecon_ray.pipeline import ledger as module
from facerecon_ray.pipeline.ledger import GO, ONE_BY_ONE, Ledger

A, B, C, D = (0, -1), (1, -1), (2, -1), (3, -1)


def test_a_batch_that_was_lost_is_done_one_by_one_and_what_is_lost_twice_alone_is_given_up():
    async def run() -> None:
        ledger = Ledger(window=100, seconds=600)
        assert await ledger.begin("crop", [A, B], "w", None) == GO
        assert await ledger.begin("crop", [A, B], "w", None) == ONE_BY_ONE
        assert await ledger.begin("crop", [A], "w", None) == GO
        await ledger.end("crop", [A], "w")
        for _ in range(2):
            assert await ledger.begin("crop", [B], "w", None) == GO
        verdict = await ledger.begin("crop", [B], "w", None)
        assert verdict == (False, "crop stage gave up: alone in its batch the photo ended its worker process, 2 times")
        await ledger.end("crop", [B], "w")
        assert await ledger.begin("crop", [A, B], "w", None) == GO, "what was ended is forgotten"
        assert await ledger.begin("rotate", [A, B], "w", None) == GO, "stages are counted apart"

    asyncio.run(run())


def test_a_worker_that_takes_too_long_is_killed_and_one_that_ends_in_time_is_not(monkeypatch: pytest.MonkeyPatch):
    killed: list[Any] = []
    monkeypatch.setattr(module.ray, "kill", lambda handle, no_restart: killed.append((handle, no_restart)))
    monkeypatch.setattr(module, "is_alive", lambda worker: worker != "starting")

    async def run() -> None:
        ledger = Ledger(window=100, seconds=0.2)
        await ledger.begin("crop", [A], "slow", "slow handle")
        await ledger.begin("crop", [B], "fast", "fast handle")
        await ledger.begin("crop", [C], "dead", "handle of a worker that died by itself and started again")
        await ledger.begin("crop", [D], "starting", "handle of a worker that died and is not yet there again")
        await ledger.end("crop", [B], "fast")
        await ledger.start("dead")
        while not killed:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert await ledger.begin("crop", [A], "slow", "slow handle") == GO
        verdict = await ledger.begin("crop", [A], "slow", "slow handle")
        assert verdict[0] is False and "took longer than 0.2 seconds" in verdict[1]

    asyncio.run(run())
    assert killed == [("slow handle", False)]


def test_blocks_wait_until_there_is_room_and_a_block_that_comes_again_does_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_STALLED_SECONDS", 1.0)

    async def run() -> None:
        ledger = Ledger(window=10, seconds=600)
        await ledger.admit(0, 8)
        waiting = asyncio.create_task(ledger.admit(8, 8))
        await ledger.admit(0, 8)
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await ledger.record(8)
        await asyncio.wait_for(waiting, 0.5)
        await asyncio.wait_for(ledger.admit(16, 8), 3), "nobody waits for ever"

    asyncio.run(run())


def test_a_worker_that_dies_each_time_it_starts_is_not_started_for_ever():
    async def run() -> None:
        ledger = Ledger(window=10, seconds=600)
        assert [await ledger.start("w") for _ in range(5)] == [True] * 4 + [False]
        assert await ledger.start("other")
        await ledger.started("other")
        assert all([await ledger.start("other") for _ in range(4)])

    asyncio.run(run())
