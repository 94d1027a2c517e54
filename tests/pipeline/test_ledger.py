import pickle
import time
from types import SimpleNamespace
from typing import Any

import pytest

from facerecon_ray.pipeline import ledger as module
from facerecon_ray.pipeline.ledger import GO, ONE_BY_ONE, Ledger

A, B, C, D = (0, -1), (1, -1), (2, -1), (3, -1)
HANDLE = pickle.dumps("handle")


def test_a_batch_that_was_lost_is_done_one_by_one_and_what_is_lost_twice_alone_is_given_up():
    ledger = Ledger(window=100, seconds=600)
    assert ledger.begin("crop", [A, B], "w", HANDLE) == GO
    assert ledger.begin("crop", [A, B], "w", HANDLE) == ONE_BY_ONE
    assert ledger.begin("crop", [A], "w", HANDLE) == GO
    ledger.end("crop", [A], "w")
    for _ in range(2):
        assert ledger.begin("crop", [B], "w", HANDLE) == GO
    verdict = ledger.begin("crop", [B], "w", HANDLE)
    assert verdict == (False, "crop stage gave up: alone in its batch the photo ended its worker process, 2 times")
    ledger.end("crop", [B], "w")
    assert ledger.begin("crop", [A, B], "w", HANDLE) == GO, "what was ended is forgotten"
    assert ledger.begin("rotate", [A, B], "w", HANDLE) == GO, "stages are counted apart"
    ledger.end("rotate", [A, B], "w")


def test_of_stages_that_share_a_worker_the_one_is_named_that_the_photo_did_not_leave():
    ledger = Ledger(window=100, seconds=600)
    for _ in range(2):
        assert ledger.begin("chain", [A], "w", HANDLE) == GO
        for part in ("read", "crop", "rotate"):
            ledger.enter("chain", A, part)
    assert ledger.begin("chain", [A], "w", HANDLE)[1].startswith("rotate stage gave up")


def test_a_worker_that_takes_too_long_is_killed_and_one_that_ends_in_time_is_not(monkeypatch: pytest.MonkeyPatch):
    killed: list[Any] = []
    monkeypatch.setattr(module.ray, "kill", lambda handle, no_restart: killed.append((handle, no_restart)))
    monkeypatch.setattr(module, "is_alive", lambda worker: worker != "starting")
    ledger = Ledger(window=100, seconds=1.0)
    ledger.begin("crop", [A], "slow", pickle.dumps("slow handle"))
    ledger.begin("crop", [B], "fast", HANDLE)
    ledger.begin("crop", [C], "died by itself and started again", HANDLE)
    ledger.begin("crop", [D], "starting", HANDLE)
    ledger.end("crop", [B], "fast")
    ledger.start("died by itself and started again", "node")
    while not killed:
        time.sleep(0.02)
    time.sleep(0.3)
    assert ledger.begin("crop", [A], "slow", HANDLE) == GO
    verdict = ledger.begin("crop", [A], "slow", HANDLE)
    assert verdict[0] is False and "took longer than 1 seconds" in verdict[1]
    assert killed == [("slow handle", False)]
    ledger.end("crop", [A], "slow")


def test_a_block_waits_until_there_is_room_and_one_that_comes_again_does_not():
    ledger = Ledger(window=10, seconds=600)
    assert ledger.admit(0, 8)
    assert not ledger.admit(8, 8)
    assert ledger.admit(0, 8)
    ledger.record(8)
    assert ledger.admit(8, 8)
    assert not ledger.admit(16, 8)


def test_no_block_waits_for_ever(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, sleep=time.sleep))
    ledger = Ledger(window=10, seconds=600)
    ledger.begin("crop", [A], "busy", HANDLE)
    assert ledger.admit(0, 8) and not ledger.admit(8, 8)
    now = 50.0
    ledger.record(1)
    now = 100.0
    assert not ledger.admit(8, 8), "what was recorded meanwhile shows that the job goes on"
    now = 111.0
    assert ledger.admit(8, 8)
    assert not ledger.admit(16, 8), "each block waits for itself"
    ledger.end("crop", [A], "busy")


def test_a_block_does_not_wait_for_photos_that_were_lost_with_a_node(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now, sleep=time.sleep))
    ledger = Ledger(window=10, seconds=600)
    assert ledger.admit(0, 8)
    ledger.begin("crop", [A], "w", HANDLE)
    now = 11.0
    assert not ledger.admit(8, 8), "a worker has something in hand"
    ledger.end("crop", [A], "w")
    now = 20.0
    assert not ledger.admit(8, 8)
    now = 22.0
    assert ledger.admit(8, 8), "nobody has anything in hand"


def test_a_worker_that_dies_each_time_it_starts_is_not_started_for_ever():
    ledger = Ledger(window=10, seconds=600)
    assert [ledger.start("w", "node") for _ in range(5)] == [True] * 4 + [False]
    assert ledger.start("other", "node")
    ledger.started("other")
    assert [ledger.start("other", "node") for _ in range(4)] == [True] * 4


def test_a_run_is_quiet_while_no_worker_that_runs_starts_or_has_anything_in_hand(monkeypatch: pytest.MonkeyPatch):
    alive, nodes = {"w"}, ["here"]
    monkeypatch.setattr(module, "is_alive", alive.__contains__)
    monkeypatch.setattr(module.ray, "nodes", lambda: [{"NodeID": node, "Alive": True} for node in nodes])
    ledger = Ledger(window=100, seconds=600)
    ledger.start("w", "here")
    assert ledger.quiet_seconds() == 0.0
    ledger.started("w")
    time.sleep(0.02)
    assert ledger.quiet_seconds() >= 0.02
    ledger.begin("crop", [A], "w", HANDLE)
    assert ledger.quiet_seconds() == 0.0
    alive.clear()
    time.sleep(0.02)
    assert ledger.quiet_seconds() >= 0.02, "what a dead worker had in hand does not count"
    ledger.start("x", "here")
    nodes.clear()
    time.sleep(0.02)
    assert ledger.quiet_seconds() >= 0.02, "a worker that started on a lost node does not start any more"
    nodes.append("here")
    assert ledger.quiet_seconds() == 0.0
    monkeypatch.setattr(module, "_LONGEST_START", 0.0)
    assert ledger.quiet_seconds() >= 0.02, "a worker that died of its start may never start again"
