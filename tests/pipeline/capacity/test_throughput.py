from pathlib import Path

import pytest

from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.config.assets import STAGE_COSTS
from facerecon_ray.config.reconstruct import PoolsSettings, ReconstructJob
from facerecon_ray.config.settings import load_job
from facerecon_ray.pipeline.capacity import sizing, stage_costs
from facerecon_ray.pipeline.capacity.sizing import size_stages
from facerecon_ray.pipeline.capacity.stage_costs import cost_table
from facerecon_ray.pipeline.capacity.throughput import Forecast, forecast
from facerecon_ray.pipeline.stage_plan import outline


def outlook(nodes: list[str], faces: float = 1.0, **settings: object) -> Forecast:
    overrides = {name.replace("__", "."): value for name, value in settings.items()}
    job = load_job(ReconstructJob, None, {"input": "photos", "output": "out", **overrides})
    cluster = parse_nodes(nodes)
    return forecast(size_stages(outline(job), cluster, strict=False), cluster, faces)


def test_a_small_machine_does_what_its_cpus_can_do():
    costs = cost_table()
    names = ("read", "crop.cascade", "fit", "rotate", "reconstruct.fitted", "export.smooth")
    found = outlook(["4cpu"])
    assert found.bottleneck == "CPUs" and found.warnings == [] and found.problem == ""
    assert found.photos_per_second == pytest.approx(costs.efficiency * 4 / sum(costs.of(name).cpu for name in names))
    assert found.hours(36_000) == pytest.approx(10 / found.photos_per_second)


def test_throughput_grows_with_the_machines():
    small, large = outlook(["8cpu"]), outlook(["8x8cpu"])
    assert large.photos_per_second == pytest.approx(8 * small.photos_per_second, rel=0.15)


def test_several_faces_cost_more_after_the_crop_and_none_cost_nothing_there():
    one, three, none = (outlook(["16cpu"], faces) for faces in (1.0, 3.0, 0.0))
    assert three.rates["crop"] == one.rates["crop"] and three.rates["export"] == pytest.approx(one.rates["export"] / 3)
    assert none.photos_per_second > one.photos_per_second > three.photos_per_second


def test_a_starved_stage_is_named_with_the_number_of_workers_it_needs():
    others = {"crop": 20, "fit": 8, "reconstruct": 4, "export": 20}
    pools = {f"pools__{name}__workers": workers for name, workers in others.items()}
    found = outlook(["64cpu"], pools__rotate__workers=1, **pools)
    assert found.bottleneck == "rotate"
    (warning,) = found.warnings
    assert warning.startswith(f"pools.rotate: 1 workers do {1 / cost_table().of('rotate').cpu:.1f} photos/s")
    enough = int(warning.rsplit(" ", 1)[1])
    assert outlook(["64cpu"], pools__rotate__workers=enough, **pools).warnings == []


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"pools__export__gpus": 0.1}, "pools.export: the stage has no use for a GPU"),
        ({"pools__crop__gpus": 0, "pools__fit__gpus": 0, "pools__rotate__gpus": 0}, "no pool uses the cluster's GPUs"),
        (
            {"pools__rotate": {"workers": 4, "cpus": 4, "gpus": 0}, "pools__crop__workers": 1},
            "lower pools.rotate.cpus",
        ),
    ],
)
def test_waste_is_pointed_out(settings: dict, warning: str):
    assert any(warning in text for text in outlook(["32cpu+2gpu"], **settings).warnings)


def test_small_batches_on_a_large_cluster_are_pointed_out():
    batches = {f"pools__{name}__batch_size": 1 for name in PoolsSettings.model_fields}
    found = outlook(["8x64cpu"], **batches)
    assert found.bottleneck == "Ray's driver" and "raise batch_size" in found.warnings[0]


def test_a_job_that_cannot_start_says_why():
    assert "need 2 GPUs" in outlook(["8cpu"], pools__rotate__gpus=2).problem


def test_figures_that_are_not_measured_are_marked():
    table = cost_table()
    assert not table.gpu_measured
    assert all(cost.cpu > 0 for cost in table.stages.values())


def test_what_was_measured_on_a_type_of_gpus_is_used_for_clusters_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = "gpus:\n  H200:\n    crop.cascade: {gpu: 1.5, host: 4}\n"
    (tmp_path / "costs.yaml").write_text(STAGE_COSTS.read_text("utf-8").replace("gpus: {}\n", measured), "utf-8")
    estimated = cost_table()
    monkeypatch.setattr(stage_costs, "STAGE_COSTS", tmp_path / "costs.yaml")
    monkeypatch.setattr(sizing, "cost_table", cost_table.__wrapped__)
    known, mixed = (sized_crop([*nodes]) for nodes in (["8cpu+1gpu:H200"], ["8cpu+1gpu:H200", "8cpu+1gpu"]))
    assert (known.gpu, known.host, known.cpu) == (0.0015, 0.004, estimated.of("crop.cascade").cpu)
    assert mixed == estimated.of("crop.cascade"), "of two types one is not known"
    assert cost_table.__wrapped__("H200").gpu_measured and not cost_table.__wrapped__("T4").gpu_measured


def sized_crop(nodes: list[str]) -> stage_costs.StageCost:
    job = load_job(ReconstructJob, None, {"input": "photos", "output": "out"})
    return next(s.cost for s in size_stages(outline(job), parse_nodes(nodes), strict=False) if s.name == "crop")
