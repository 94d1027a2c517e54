import pytest
import ray

from facerecon_ray.cluster.nodes import Node, live_cluster, parse_nodes, this_machine
from facerecon_ray.errors import SettingsError


def test_nodes_are_described_in_short():
    cluster = parse_nodes(["4x16cpu", "8cpu+4gpu+rotation_gpu:4"])
    assert cluster.nodes == (Node(16, count=4), Node(8, 4, {"rotation_gpu": 4.0}))
    assert cluster.total("CPU") == 72 and cluster.total("rotation_gpu") == 4 and cluster.total("other") == 0
    assert cluster.describe() == "4 x (16 CPUs), 1 x (8 CPUs, 4 GPUs, rotation_gpu 4)"


def test_gpus_have_a_type_where_all_are_of_one():
    cluster = parse_nodes(["4x16cpu", "2x8cpu+1gpu:H200"])
    assert cluster.gpu_type == "H200" and cluster.describe() == "4 x (16 CPUs), 2 x (8 CPUs, 1 GPUs H200)"
    assert cluster.nodes[1] == Node(8, 1, {"accelerator_type:H200": 1.0}, count=2), "as Ray describes such a node"
    for unknown in (["16cpu"], ["8cpu+1gpu"], ["8cpu+1gpu:H200", "8cpu+1gpu:T4"], ["8cpu+1gpu:H200", "8cpu+1gpu"]):
        assert parse_nodes(unknown).gpu_type is None


@pytest.mark.parametrize("text", ["16", "4gpu", "x16cpu", "16cpu+", "16cpu+many", "16cpu-4gpu", "99999999999x2cpu"])
def test_a_description_that_cannot_be_read_is_an_error_with_an_example(text: str):
    with pytest.raises(SettingsError, match="for example 4x16cpu"):
        parse_nodes([text])


@pytest.mark.usefixtures("ray_cluster")
def test_a_running_cluster_is_what_ray_says_it_is():
    cluster = live_cluster()
    assert cluster.total("CPU") == ray.cluster_resources()["CPU"]
    assert this_machine().total("CPU") == cluster.total("CPU")


def test_a_cluster_that_has_lost_a_node_has_less_than_before():
    before, grown = parse_nodes(["2x4cpu", "8cpu+1gpu+mark:1"]), parse_nodes(["2x4cpu", "8cpu+1gpu+mark:1", "1cpu"])
    assert not before.has_less_than(before) and not grown.has_less_than(before) and before.has_less_than(grown)
    assert parse_nodes(["4x4cpu", "0cpu+1gpu"]).has_less_than(before), "the mark is gone"
