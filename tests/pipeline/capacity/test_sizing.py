from itertools import product

import pytest

from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.cluster.placement import Demand, unplaced
from facerecon_ray.config.reconstruct import PoolsSettings, ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.errors import SettingsError
from facerecon_ray.pipeline.capacity.sized_stage import SizedStage
from facerecon_ray.pipeline.capacity.sizing import size_stages
from facerecon_ray.pipeline.capacity.stage_costs import cost_table
from facerecon_ray.pipeline.capacity.throughput import forecast
from facerecon_ray.pipeline.stage_plan import fused, outline

CLUSTERS = (["1cpu"], ["2cpu"], ["64cpu"], ["8cpu+1gpu"], ["3x2cpu"], ["4x16cpu", "8x8cpu+1gpu"], ["16x64cpu+8gpu"])
METHODS = ("fitted", "two-view")


def sized(nodes: list[str], **settings: object) -> dict[str, SizedStage]:
    return {stage.name: stage for stage in size_stages(outline(job(**settings)), parse_nodes(nodes))}


def job(**settings: object) -> ReconstructJob:
    overrides = {name.replace("__", "."): value for name, value in settings.items()}
    return load_job(ReconstructJob, None, {"input": "photos", "output": "out", **overrides})


@pytest.mark.parametrize(("nodes", "method"), list(product(CLUSTERS, METHODS)), ids=str)
def test_what_is_chosen_fits_the_nodes_of_every_cluster(nodes: list[str], method: str):
    weights = {"reconstruct__method": method}
    stages = sized(nodes, **weights)
    demands = [Demand(name, s.pool.amounts, s.pool.labels, s.pool.workers) for name, s in stages.items()]
    assert unplaced(demands, parse_nodes(nodes)) == {}
    assert all(stage.pool.workers >= 1 and stage.pool.batch_size >= 1 for stage in stages.values())


def test_on_many_cpus_all_heavy_stages_come_out_equally_fast():
    stages = sized(["64cpu"])
    rates = {name: stages[name].pool.workers / stages[name].seconds for name in ("crop", "rotate", "export")}
    assert max(rates.values()) < 1.2 * min(rates.values())
    used = sum(stage.pool.workers * stage.pool.cpus for stage in stages.values())
    assert 57 < used <= 64
    assert all(stage.pool.gpus == 0 for stage in stages.values())


def test_gpus_go_to_the_stages_that_use_them_by_what_they_cost():
    stages = sized(["16x64cpu+8gpu"], reconstruct__method="two-view")
    gpus = {name: stage.pool.workers * stage.pool.gpus for name, stage in stages.items()}
    assert gpus["read"] == gpus["export"] == 0
    assert 0.85 * 128 < sum(gpus.values()) <= 128
    users = [stages[name] for name in ("crop", "fit", "rotate", "reconstruct")]
    rates = [stage.pool.workers / stage.seconds for stage in users]
    assert max(rates) < 1.05 * min(rates), "all come out equally fast"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("nodes", "gpus"), [(["8cpu+1gpu"], 1), (["4x16cpu+1gpu"], 4), (["4x16cpu+2gpu"], 8)])
def test_a_few_gpus_do_most_of_what_their_time_allows(nodes: list[str], gpus: int, method: str):
    stages = sized(nodes, reconstruct__method=method)
    most = gpus / sum(stage.gpu_seconds for stage in stages.values())
    slowest = min(stage.pool.workers / stage.seconds for stage in stages.values())
    assert slowest > 0.8 * most


@pytest.mark.parametrize("detector", ["cascade", "mmod", "dlib-mmod", "dlib-hog"])
def test_pairs_cost_two_photos_to_crop_and_no_view_to_make(detector: str):
    costs = cost_table()
    read, crop, fit, after, *_ = outline(job(pairs=True, crop__detector=detector))
    assert costs.of(read.cost).cpu == 2 * costs.of("read").cpu
    assert costs.of(crop.cost).cpu > 2 * costs.of(f"crop.{detector}").cpu
    assert costs.of("fit").cpu < costs.of(fit.cost).cpu < costs.of(crop.cost).cpu
    assert after.name == "reconstruct"


def test_one_gpu_is_shared_by_all_stages_that_use_one():
    stages = sized(["8cpu+1gpu"], reconstruct__method="two-view")
    gpus = {name: stage.pool.workers * stage.pool.gpus for name, stage in stages.items()}
    assert all(0 < gpus[name] < 1 for name in ("crop", "fit", "rotate", "reconstruct")) and sum(gpus.values()) <= 1


def test_settings_are_kept_and_the_others_follow_them():
    stages = sized(["64cpu"], pools__rotate={"workers": 2, "cpus": 3, "batch_size": 5})
    pool = stages["rotate"].pool
    assert (pool.workers, pool.cpus, pool.batch_size) == (2, 3, 5)
    rate = 2 / stages["rotate"].seconds
    crop = stages["crop"]
    assert rate < crop.pool.workers / crop.seconds < 2 * rate, "no more croppers than two rotators need"


def test_a_range_of_workers_stays_a_range():
    stages = sized(["8x8cpu+1gpu"], pools__rotate={"workers": {"min": 1, "max": 100}, "gpus": 1})
    assert (stages["rotate"].pool.min_workers, stages["rotate"].pool.workers) == (1, 100)
    assert stages["crop"].pool.gpus == 0, "the range may take all GPUs"


def test_gpus_that_one_pool_reserves_are_not_given_to_others():
    stages = sized(["4cpu+1gpu"], pools__rotate__gpus=1)
    assert stages["rotate"].pool.workers == 1 and stages["crop"].pool.gpus == 0
    assert all(
        stage.pool.gpus == 0
        for stage in sized(["4cpu+1gpu"], pools__crop__gpus=0, pools__fit__gpus=0, pools__rotate__gpus=0).values()
    )


def test_workers_are_no_more_than_nodes_with_their_custom_resource():
    nodes = ["4x8cpu+1gpu+rotation_gpu:1", "4x8cpu+1gpu"]
    assert sized(nodes, pools__crop__resources={"rotation_gpu": 1})["crop"].pool.workers <= 4


def test_ranges_may_wait_for_nodes_that_do_not_run_yet():
    pools = {f"pools__{name}__workers": {"min": 1, "max": 9} for name in PoolsSettings.model_fields}
    stages = sized(["0cpu"], pools__rotate__resources={"rotation_gpu": 1}, **pools)
    assert {(stage.pool.min_workers, stage.pool.workers) for stage in stages.values()} == {(1, 9)}
    assert stages["crop"].pool.cpus == stages["rotate"].pool.cpus == 1, "as much as one worker uses"
    assert stages["read"].pool.cpus < 0.1
    with pytest.raises(SettingsError, match=r"Ray has 0; .*{min: M, max: N} on a cluster that grows"):
        sized(["0cpu"])


def test_large_clusters_get_batches_that_the_driver_can_hand_out():
    assert sized(["16x64cpu+8gpu"])["crop"].pool.batch_size > sized(["2cpu"])["crop"].pool.batch_size


def test_batches_are_the_larger_the_faster_the_stages_are():
    slow, usual, fast = (
        {stage.pool.batch_size for stage in sized(nodes, **settings).values()}
        for nodes, settings in (
            (["2cpu"], {"crop__detector": "dlib-mmod"}),
            (["2cpu"], {}),
            (["2x8cpu+1gpu"], {}),
        )
    )
    assert (slow, usual, fast) == ({8}, {32}, {32})


def test_ranges_on_a_small_machine_leave_room_for_one_worker_of_each():
    pools = {f"pools__{name}__workers": {"min": 1, "max": 9} for name in PoolsSettings.model_fields}
    assert sum(stage.pool.cpus for stage in sized(["2cpu"], **pools).values()) <= 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pools__rotate__gpus": 1}, "need 1 GPUs, Ray has 0"),
        ({"pools__rotate": {"workers": 9, "cpus": 1}}, r"need 9.* CPUs, Ray has 8"),
        ({"pools__rotate__resources": {"tpu": 1}}, "need 1 tpus, Ray has 0"),
        ({"pools__rotate__cpus": 6}, r"pools.rotate': no node has room for 1 of 1 workers with 6 CPUs"),
    ],
)
def test_settings_that_do_not_fit_are_refused_with_what_is_there(settings: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        sized(["2x4cpu"], **settings)


@pytest.mark.parametrize("nodes", [["2x1cpu"], ["3x1cpu"], ["5x1cpu"], ["1cpu", "2x2cpu"]], ids=str)
def test_on_small_nodes_nothing_is_chosen_that_the_plan_warns_of(nodes: list[str]):
    cluster = parse_nodes(nodes)
    stages = sized(nodes)
    assert forecast(list(stages.values()), cluster).warnings == []
    demands = [Demand(name, s.pool.amounts, s.pool.labels, s.pool.workers) for name, s in stages.items()]
    assert unplaced(demands, cluster) == {}


@pytest.mark.parametrize(("node", "cpus"), [("1cpu", 1), ("2cpu", 2), ("4cpu", 4)])
def test_on_a_small_machine_all_stages_share_one_process_for_each_cpu(node: str, cpus: int):
    separate, cluster = outline(job()), parse_nodes([node])
    (chain,) = size_stages(fused(separate, cluster), cluster)
    assert (chain.pool.workers, chain.pool.cpus, chain.pool.gpus) == (cpus, 1.0, 0.0)
    assert [part.name for part in chain.parts] == [stage.name for stage in separate]
    assert chain.cpu_seconds == pytest.approx(sum(cost_table().of(stage.cost).cpu for stage in separate))


@pytest.mark.parametrize(
    ("nodes", "settings"),
    [
        (["8cpu"], {}),
        (["2cpu+1gpu"], {}),
        (["2x1cpu"], {}),
        (["2cpu"], {"pools__crop__workers": 1}),
        (["2cpu"], {"pools__export__labels": {"zone": "a"}}),
    ],
    ids=str,
)
def test_stages_keep_their_own_processes_elsewhere_and_where_pools_are_set(nodes: list[str], settings: dict):
    separate = outline(job(**settings))
    assert fused(separate, parse_nodes(nodes)) == separate


def test_several_faces_cost_more_in_the_stages_after_the_crop_where_all_share_a_process():
    cluster = parse_nodes(["2cpu"])
    together = forecast(size_stages(fused(outline(job()), cluster), cluster), cluster, 3.0)
    apart = forecast(size_stages(outline(job()), cluster), cluster, 3.0)
    assert together.limits["CPUs"] == pytest.approx(apart.limits["CPUs"])


@pytest.mark.parametrize(
    ("settings", "turns"),
    [
        ({}, True),
        ({"export__previews": False}, False),
        ({"export__previews": False, "reconstruct__method": "prnet"}, False),
        ({"export__previews": False, "reconstruct__method": "two-view"}, True),
        ({"pairs": True}, False),
    ],
    ids=str,
)
def test_a_second_view_is_planned_where_something_looks_at_it(settings: dict, turns: bool):
    stages = outline(job(**settings))
    assert ("rotate" in [stage.name for stage in stages]) == turns
    assert {stage.cost for stage in stages} <= cost_table().stages.keys()
