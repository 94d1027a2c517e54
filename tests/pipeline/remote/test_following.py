"""Watching a job's log, with a server in the place of the cluster's dashboard."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web

from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline.remote.submission import JobServer


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Sends one piece of the log of any job; of the job "lost" it then vanishes, as does the head of a cluster."""

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"ray_version": "2.60.0", "version": "4", "ray_commit": "", "session_name": ""})

    async def tail(request: web.Request) -> web.WebSocketResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        await answer.send_str("a line\n")
        if request.match_info["job"] == "lost":
            assert request.transport is not None
            request.transport.abort()
        await asyncio.sleep(600)
        return answer

    loop = asyncio.new_event_loop()
    application = web.Application()
    application.add_routes([web.get("/api/version", version), web.get("/api/jobs/{job}/logs/tail", tail)])
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    threading.Thread(target=loop.run_forever, daemon=True).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", address)
    yield address
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Python would print of errors that nobody can catch."""
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", found.append)
    return found


def test_ctrl_c_ends_the_watching_without_another_word(
    dashboard: str, unraisable: list[Any], capfd: pytest.CaptureFixture[str]
):
    pieces, main = [], threading.main_thread().ident

    def watch() -> None:
        for piece in JobServer(dashboard).follow("mine"):
            pieces.append(piece)
            threading.Timer(0.3, signal.pthread_kill, [main, signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        watch()
    gc.collect()
    assert pieces == ["a line\n"]
    assert unraisable == [] and capfd.readouterr() == ("", "")


def test_a_head_that_is_lost_while_a_job_is_watched_is_one_line(dashboard: str):
    pieces = JobServer(dashboard).follow("lost")
    assert next(pieces) == "a line\n"
    with pytest.raises(FaceReconError, match=rf"no Ray cluster answers at {dashboard}: .*closed unexpectedly"):
        next(pieces)
