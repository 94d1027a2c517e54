from collections.abc import Callable
from types import SimpleNamespace

import pytest

from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.cluster.worker_errors import StalledError
from facerecon_ray.errors import FaceReconError
from facerecon_ray.pipeline import stalls as module
from facerecon_ray.pipeline.stalls import EndWhenStalled, StallWatch

Look = Callable[..., tuple[Exception | None, list[str]]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Look:
    """What a watch finds, and says, in a cluster of some state."""

    def found(
        quiet: float = 40.0,
        waiting: str = "MapWorker(MapBatches(crop))",
        left: str = "2x4cpu",
        sick: tuple[str, ...] = (),
        is_open: bool = True,
    ) -> tuple[Exception | None, list[str]]:
        said: list[str] = []
        stages = [SimpleNamespace(name=name) for name in ("crop", "crop and more")]
        pools = SimpleNamespace(stages=stages, cluster=parse_nodes(["2x4cpu"]), is_open=is_open)
        for name, value in {
            "waiting_actors": {"1": waiting} if waiting else {},
            "live_cluster": parse_nodes([left]),
            "sick_hosts": list(sick),
        }.items():
            monkeypatch.setattr(module, name, lambda value=value: value)
        monkeypatch.setattr(module, "say", said.append)
        watch = StallWatch(None, pools)  # type: ignore[arg-type]
        monkeypatch.setattr(watch, "_quiet_seconds", lambda: quiet)
        watch._look()
        watch._look()
        return watch.error, said

    return found


@pytest.mark.parametrize("state", [{"quiet": 20.0}, {"waiting": ""}, {"waiting": "Ledger"}])
def test_a_job_that_works_or_waits_for_no_worker_does_not_stall(look: Look, state: dict[str, object]):
    assert look(left="1x4cpu", sick=("host a has a full disk",), **state) == (None, [])


def test_a_sick_host_ends_the_job_and_is_named(look: Look):
    error, _ = look(sick=("host a has a full disk",))
    assert type(error) is FaceReconError
    assert str(error) == (
        "workers of crop do not run, and the others have nothing to do: host a has a full disk; the same command "
        "continues the run"
    )


def test_a_lost_node_and_long_patience_are_reasons_to_size_the_pools_anew(look: Look):
    assert isinstance(look(left="1x4cpu")[0], StalledError)
    assert isinstance(look(quiet=200.0)[0], StalledError)


def test_workers_that_wait_for_room_are_spoken_of_and_waited_for_where_no_other_size_is_allowed(look: Look):
    line = (
        "workers of crop do not run, and the others have nothing to do: waiting for the cluster to have room for them"
    )
    assert look() == (None, [line])
    assert look(quiet=2000.0, is_open=False) == (None, [line])


def test_what_the_watch_finds_ends_the_data_set(monkeypatch: pytest.MonkeyPatch):
    watch = StallWatch(None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(EndWhenStalled, "watch", watch)
    EndWhenStalled().on_execution_step(None)
    watch.error = StalledError("crop")
    with pytest.raises(StalledError):
        EndWhenStalled().on_execution_step(None)
