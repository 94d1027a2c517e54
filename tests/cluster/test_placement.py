from facerecon_ray.cluster.nodes import parse_nodes
from facerecon_ray.cluster.placement import Demand, unplaced


def wish(name: str, workers: int, cpus: float = 0.0, gpus: float = 0.0, **resources: float) -> Demand:
    return Demand(name, {"CPU": cpus, "GPU": gpus, **resources}, {}, workers)


def test_workers_do_not_stretch_over_nodes():
    nodes = parse_nodes(["3x3cpu"])
    assert unplaced([wish("a", 3, cpus=2)], nodes) == {}
    assert unplaced([wish("a", 4, cpus=2)], nodes) == {"a": 1}, "9 CPUs, but no node with two more"


def test_a_fraction_of_a_gpu_lies_on_one_gpu():
    nodes = parse_nodes(["2cpu+2gpu"])
    assert unplaced([wish("a", 2, gpus=0.6), wish("b", 2, gpus=0.4)], nodes) == {}
    assert unplaced([wish("a", 2, gpus=0.6), wish("b", 1, gpus=0.8)], nodes) == {"a": 1}
    assert unplaced([wish("a", 1, gpus=2)], nodes) == {}
    assert unplaced([wish("a", 1, gpus=2), wish("b", 1, gpus=0.1)], nodes) == {"b": 1}


def test_custom_resources_and_labels_keep_workers_to_their_nodes():
    nodes = parse_nodes(["4x8cpu+1gpu+rotation_gpu:1", "4x8cpu+1gpu"])
    assert unplaced([wish("a", 5, gpus=1, rotation_gpu=1)], nodes) == {"a": 1}
    labelled = Demand("a", {"CPU": 1.0, "GPU": 0.0}, {"zone": "x"}, 1)
    assert unplaced([labelled], nodes) == {"a": 1}


def test_those_with_gpus_are_placed_before_others_take_the_cpus():
    nodes = parse_nodes(["4cpu+1gpu"])
    assert unplaced([wish("many", 3, cpus=1), wish("one", 1, cpus=1, gpus=1)], nodes) == {}
    assert unplaced([wish("many", 4, cpus=1), wish("one", 1, cpus=1, gpus=1)], nodes) == {"many": 1}
