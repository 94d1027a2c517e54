import pytest

from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.cluster.placement import Demand, unplaced
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import PoolSettings, load_job
from facerecon_ray.errors import SettingsError
from facerecon_ray.pipeline.capacity import pools as module
from facerecon_ray.pipeline.capacity.pools import Pools
from facerecon_ray.pipeline.stage_plan import PlannedStage, outline


def on(monkeypatch: pytest.MonkeyPatch, *nodes: str) -> None:
    monkeypatch.setattr(module, "live_cluster", lambda: parse_nodes(nodes))


def test_pools_fit_what_is_left_of_a_cluster_and_shrink_where_nothing_has_changed(monkeypatch: pytest.MonkeyPatch):
    on(monkeypatch, "4cpu", "2cpu")
    pools = Pools(outline(load_job(ReconstructJob, None, {"input": "a", "output": "b"})))
    cpus = [sum(stage.pool.workers * stage.pool.cpus for stage in pools.stages)]
    for nodes in (["4cpu"], ["4cpu"], ["4cpu"], ["4cpu", "2cpu"]):
        on(monkeypatch, *nodes)
        pools.size_anew()
        demands = [Demand(s.name, s.pool.amounts, s.pool.labels, s.pool.workers) for s in pools.stages]
        assert not unplaced(demands, parse_nodes(nodes))
        cpus.append(sum(stage.pool.workers * stage.pool.cpus for stage in pools.stages))
    assert pools.is_open
    assert cpus[0] == cpus[4] > cpus[1] > cpus[2] > cpus[3]


def test_settings_that_do_not_fit_any_more_end_the_run_with_what_to_do(monkeypatch: pytest.MonkeyPatch):
    on(monkeypatch, "2x4cpu")
    pools = Pools([PlannedStage("crop", (), PoolSettings(workers=2, cpus=4.0))])
    assert not pools.is_open
    on(monkeypatch, "4cpu")
    with pytest.raises(SettingsError, match=r"need 8 CPUs, Ray has 4; .*; the same command continues the run"):
        pools.size_anew()
