import os
from errno import ENOSPC

import pytest
import ray
from ray.exceptions import OutOfDiskError, RayTaskError, RpcError, RuntimeEnvSetupError

from facerecon_ray.cluster import host_check as module
from facerecon_ray.cluster import worker_errors
from facerecon_ray.cluster.host_check import sick_hosts
from facerecon_ray.cluster.worker_errors import explained
from facerecon_ray.errors import FaceReconError


def no_space() -> None:
    raise OSError(ENOSPC, os.strerror(ENOSPC))


def no_library() -> None:
    raise OSError("libfoo.so: cannot open shared object file")


@pytest.mark.usefixtures("ray_cluster")
def test_each_host_is_asked_for_its_disk_and_named_when_it_is_full_or_starts_no_process(
    monkeypatch: pytest.MonkeyPatch,
):
    assert sick_hosts() == []
    monkeypatch.setattr(module, "FULL", -1.0)
    (full,) = sick_hosts()
    assert full.startswith(f"host {os.uname().nodename} has a full disk (") and "% of that of /" in full
    (silent,) = sick_hosts(seconds=0.0)
    assert silent.endswith("starts no process; look whether its disk or its memory is full")
    seen, ask = iter([ray.nodes(), []]), ray.nodes
    monkeypatch.setattr(module.ray, "nodes", lambda: next(seen))
    assert sick_hosts(seconds=0.0) == [], "a host that is lost while it is asked"
    idle = [{**node, "Resources": {"node:__internal_head__": 1.0}} for node in ask()]
    monkeypatch.setattr(module.ray, "nodes", lambda: idle)
    assert sick_hosts(seconds=0.0) == [], "a head that is to run nothing"
    monkeypatch.setattr(module.ray, "nodes", ask)
    monkeypatch.setattr(module, "_disk", no_space)
    assert sick_hosts()[0].endswith("; make room there")
    monkeypatch.setattr(module, "_disk", no_library)
    assert "starts no process: " in sick_hosts()[0] and "libfoo.so" in sick_hosts()[0]


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("error", [RuntimeEnvSetupError("no"), RayTaskError("f", "", OutOfDiskError("full"))])
def test_where_ray_fails_because_of_a_host_the_line_names_the_host(error: Exception, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker_errors, "sick_hosts", lambda: ["host a has a full disk", "host b starts no process"])
    with pytest.raises(FaceReconError) as caught, explained("start again"):
        raise error
    assert str(caught.value) == "host a has a full disk; host b starts no process; start again"
    with pytest.raises(FaceReconError, match="Ray failed"), explained("start again"):
        raise RpcError("the head is gone")
