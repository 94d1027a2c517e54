import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.exceptions import RayTaskError

from facerecon_ray.cluster import tasks as module
from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.cluster.placement import Demand
from facerecon_ray.cluster.tasks import TaskWatch
from facerecon_ray.cluster.worker_errors import told
from facerecon_ray.errors import AssetError, FaceReconError

SMALL = Demand("counting", {"CPU": 0.1, "GPU": 0.0}, {}, 1)
NOWHERE = Demand("counting", {"CPU": 0.1, "GPU": 0.0, "nowhere": 1.0}, {}, 1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, ray_cluster: None) -> list[str]:
    """What watches say that have little patience."""
    said: list[str] = []
    monkeypatch.setattr(module, "say", said.append)
    for name, seconds in (("QUIET_SECONDS", 1.0), ("_LOOK_SECONDS", 0.05), ("_SAY_SECONDS", 0.0)):
        monkeypatch.setattr(module, name, seconds)
    return said


@pytest.fixture
def lost_node(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of two nodes only the first watch sees both."""
    seen = iter([parse_nodes(["2x4cpu"])])
    monkeypatch.setattr(module, "live_cluster", lambda: next(seen, parse_nodes(["1x4cpu"])))
    yield


def nap(started: str, seconds: float) -> str:
    Path(started).touch()
    time.sleep(seconds)
    return started


def test_tasks_that_run_are_waited_for_however_long_they_take(impatient: list[str], lost_node: None, tmp_path: Path):
    watch = TaskWatch(SMALL, "start again")
    started = tmp_path / "started"
    slow = watch.remote(nap)(str(started), 1.5)
    while not started.exists():
        time.sleep(0.01)
    assert module.ray.get(watch.first_done([slow])) == str(started)
    assert impatient == []


def refuse(reason: str) -> None:
    raise AssetError(reason)


def test_what_a_task_raises_for_the_user_is_told_as_it_was_raised(ray_cluster: None):
    watch = TaskWatch(SMALL, "start again")
    failed = watch.first_done([watch.remote(refuse)("model.npz is no face model")])
    with pytest.raises(RayTaskError) as caught:
        module.ray.get(failed)
    found = told(caught.value)
    assert type(found) is AssetError and str(found) == "model.npz is no face model"


def test_tasks_for_which_a_lost_node_leaves_no_room_end_the_job(impatient: list[str], lost_node: None):
    watch = TaskWatch(NOWHERE, "start again")
    with pytest.raises(FaceReconError) as caught:
        watch.first_done([watch.remote(nap)("never", 0.0)])
    assert str(caught.value) == (
        "no task of counting runs: no node has room for one with 0.1 CPUs, 1 nowhere; what is left is 1 x (4 CPUs); "
        "start again"
    )


def test_hosts_on_which_nothing_starts_are_named(impatient: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "sick_hosts", lambda: ["host a has a full disk"])
    watch = TaskWatch(NOWHERE, "start again")
    with pytest.raises(FaceReconError, match="runs: host a has a full disk; start again"):
        watch.first_done([watch.remote(nap)("never", 0.0)])
    assert impatient == ["no task of counting runs: host a has a full disk"], "it is said once before"


def test_what_waits_for_a_cluster_that_is_busy_or_grows_says_so_and_waits(
    impatient: list[str], monkeypatch: pytest.MonkeyPatch
):
    class EnoughError(Exception):
        pass

    def say(line: str) -> None:
        impatient.append(line)
        if len(impatient) == 2:
            raise EnoughError

    monkeypatch.setattr(module, "say", say)
    monkeypatch.setattr(module, "sick_hosts", list)
    watch = TaskWatch(NOWHERE, "start again")
    with pytest.raises(EnoughError):
        watch.first_done([watch.remote(nap)("never", 0.0)])
    line = "no task of counting runs: waiting for the cluster to have room for one with 0.1 CPUs, 1 nowhere"
    assert impatient == [f"{line}, and to start it"] * 2
