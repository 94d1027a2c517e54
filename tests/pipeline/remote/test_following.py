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
from facerecon_ray.pipeline.remote import submission
from facerecon_ray.pipeline.remote.submission import JobServer


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Sends one piece of the log of any job, and is silent then, as if its power were cut.

    The connection of the job "lost" it ends, as a head does of which only the process dies. It knows the job "done",
    which has ended, no other, and says nothing when it is asked for "gone".
    """

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

    async def info(request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if job == "gone":
            assert request.transport is not None
            request.transport.abort()
        if job != "done":
            return web.Response(status=404, text=f"Job {job} does not exist")
        times = {"start_time": 1000, "end_time": 2000}
        return web.json_response({"type": "SUBMISSION", "entrypoint": "", "status": "SUCCEEDED", **times})

    loop = asyncio.new_event_loop()
    application = web.Application()
    application.add_routes([web.get("/api/version", version), web.get("/api/jobs/{job}/logs/tail", tail)])
    application.add_routes([web.get("/api/jobs/{job}", info)])
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


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "_SILENT_SECONDS", 0.1)
    monkeypatch.setattr(submission, "_PATIENCE_SECONDS", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("job", "reason"), [("gone", "no Ray cluster answers"), ("new", "knows new no more: .*again")]
)
def test_a_head_whose_power_is_cut_while_a_job_is_watched_is_one_line(dashboard: str, job: str, reason: str):
    pieces = JobServer(dashboard).follow(job)
    assert next(pieces) == "a line\n"
    with pytest.raises(FaceReconError, match=reason):
        next(pieces)


@pytest.mark.usefixtures("impatient")
def test_a_job_that_ends_while_its_log_is_silent_ends_the_watching(dashboard: str):
    assert list(JobServer(dashboard).follow("done")) == ["a line\n"]
