"""Files for a Kubernetes that this machine has not: checked against the schemas of Kubernetes and KubeRay."""

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray._private.ray_constants import DEFAULT_OBJECT_STORE_MEMORY_PROPORTION
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import validate_config

from facerecon_ray.cluster.nodes import Cluster, Node
from facerecon_ray.cluster.placement import Demand, unplaced
from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import COMMAND, PoolSettings, WorkerRange

sys.path.insert(0, str(Path(__file__).parent))
from kuberay_schema import NEW_IN_1_7, SCHEMAS, refusals_of_a_cluster, refusals_of_a_job

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "cluster" / "kuberay"
FILES = sorted([*KUBERAY.glob("*.yaml"), *(ROOT / "cluster" / "nightly").glob("*.yaml")])
KUBERNETES = "1.37.0"


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, document) of all files, and of the documents that config maps hold for kubectl."""
    for path in FILES:
        for document in yaml.safe_load_all(path.read_text()):
            yield f"{path.stem}-{document['kind']}", document
            inner = document.get("data", {}).get("rayjob.yaml")
            if inner:
                yield f"{path.stem}-inner", yaml.safe_load(inner)


ALL = dict(documents())
RAY = {name: document for name, document in ALL.items() if document["kind"] in SCHEMAS}


def found(node: Any, key: str) -> Iterator[dict[str, Any]]:
    """Objects in a tree that have a key."""
    if isinstance(node, dict) and key in node:
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from found(child, key)


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((KUBERAY / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return load("raycluster")["spec"]


@pytest.fixture(scope="module")
def groups(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Worker groups by name."""
    return {group["groupName"]: group for group in cluster["workerGroupSpecs"]}


@pytest.fixture(scope="module")
def job() -> ReconstructJob:
    """The job that runs on the cluster."""
    tree = yaml.safe_load(load("job-file")["data"]["job.yaml"])
    assert tree.pop(COMMAND) == "reconstruct"
    return ReconstructJob.model_validate(tree)


def refusals(document: dict[str, Any]) -> list[str]:
    spec = document["spec"]
    if document["kind"] == "RayCluster":
        return refusals_of_a_cluster(spec)
    return refusals_of_a_job(spec["jobTemplate"] if document["kind"] == "RayCronJob" else spec)


@pytest.mark.parametrize("name", [name for name in ALL if name not in RAY])
def test_kubernetes_knows_every_field(name: str):
    kubernetes_validate.validate(ALL[name], KUBERNETES, strict=True)


@pytest.mark.parametrize("name", RAY)
def test_kuberay_knows_every_field_and_its_operator_takes_it(name: str):
    jsonschema.validate(RAY[name], SCHEMAS[RAY[name]["kind"]])
    assert refusals(RAY[name]) == []


@pytest.mark.parametrize("name", RAY)
def test_kubernetes_knows_every_field_of_the_pods(name: str):
    pods = [pod for pod in found(RAY[name], "spec") if "containers" in pod["spec"]]
    assert pods
    for pod in pods:
        template = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name.lower()}, "template": pod}
        kubernetes_validate.validate(template, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"submissionMode": "SidecarMode"}, "SidecarMode with a selected cluster"),
        ({"backoffLimit": 1}, "backoffLimit"),
        ({"ttlSecondsAfterFinished": 5}, "without shutdownAfterJobFinishes"),
        ({"rayClusterSpec": {"headGroupSpec": {"template": {"spec": {"containers": [{}]}}}}}, "a cluster of its own"),
    ],
)
def test_what_the_operator_refuses_is_seen(change: dict[str, Any], refusal: str):
    (first, *_) = refusals_of_a_job({**load("rayjob")["spec"], **change})
    assert refusal in first


def test_a_field_that_nobody_knows_is_seen(cluster: dict[str, Any]):
    document = {**load("raycluster"), "spec": {**cluster, "authentication": {}}}
    with pytest.raises(jsonschema.ValidationError, match="authentication"):
        jsonschema.validate(document, SCHEMAS["RayCluster"])


def test_only_the_file_that_says_so_needs_kuberay_1_7():
    newer = {name for name, document in RAY.items() if any(list(found(document, field)) for field in NEW_IN_1_7)}
    assert newer == {"kuberay-raycronjob-RayCronJob"}
    assert "new in 1.7" in (ROOT / "cluster" / "nightly" / "kuberay-raycronjob.yaml").read_text()


@pytest.mark.parametrize("name", [name for name in RAY if list(found(RAY[name], "rayVersion"))])
def test_clusters_ask_for_a_token_and_have_the_installed_ray(name: str):
    (spec,) = found(RAY[name], "rayVersion")
    assert spec["authOptions"]["mode"] == "token" and spec["rayVersion"] == version("ray")


def test_who_submits_has_the_clusters_token(cluster: dict[str, Any]):
    (container,) = next(found(load("cronjob"), "containers"))["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["RAY_AUTH_MODE"]["value"] == "token"
    secret = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": cluster["authOptions"]["secretName"], "key": "auth_token"}


def test_rays_autoscaler_reads_the_node_types_from_it(job: ReconstructJob):
    resource = load("raycluster")
    resource["metadata"]["namespace"] = "default"
    config = _derive_autoscaling_config_from_ray_cr(resource)
    validate_config(config)
    kinds = config["available_node_types"]
    assert kinds["headgroup"]["resources"]["CPU"] == 0 and kinds["cropping"]["resources"]["CPU"] == 16
    nodes = [
        Node(
            kind["resources"]["CPU"], kind["resources"].get("GPU", 0), labels=kind["labels"], count=kind["max_workers"]
        )
        for name, kind in kinds.items()
        if name != "headgroup"
    ]
    wanted = [Demand(name, _amounts(pool), pool.labels, _most(pool)) for name, pool in job.pools if pool.gpus]
    assert {demand.name for demand in wanted} == {"rotate", "reconstruct"} and not unplaced(wanted, Cluster(nodes))


def test_workers_scale_to_zero_and_the_head_does_no_work(cluster: dict[str, Any], groups: dict):
    assert cluster["enableInTreeAutoscaling"] is True
    assert all(group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"] for group in groups.values())
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_rays_object_store_fits_the_shared_memory(cluster: dict[str, Any], groups: dict):
    for group in (cluster["headGroupSpec"], *groups.values()):
        pod = group["template"]["spec"]
        (room,) = (volume["emptyDir"] for volume in pod["volumes"] if volume["name"] == "shared-memory")
        memory = int(_limits(group)["memory"].removesuffix("Gi"))
        assert int(room["sizeLimit"].removesuffix("Gi")) > DEFAULT_OBJECT_STORE_MEMORY_PROPORTION * memory


def test_rotation_and_reconstruction_have_gpus_of_their_own_and_cropping_has_none(groups: dict, job: ReconstructJob):
    gpus = {name: "nvidia.com/gpu" in _limits(group) for name, group in groups.items()}
    assert gpus == {"cropping": False, "rotation": True, "reconstruction": True}
    for name, pool in (("rotation", job.pools.rotate), ("reconstruction", job.pools.reconstruct)):
        assert pool.labels == groups[name]["labels"] and pool.gpus == 1 and not pool.resources
        assert _most(pool) <= groups[name]["maxReplicas"]
        assert (pool.cpus or 0) <= float(_limits(groups[name])["cpu"])
    assert job.pools.crop.gpus == 0


def test_every_pool_follows_the_work_as_on_a_cluster_that_grows_it_must(job: ReconstructJob):
    open_pools = [name for name, pool in job.pools if not isinstance(pool.workers, WorkerRange) or pool.cpus is None]
    assert open_pools == []


def test_the_largest_pools_fit_the_largest_cluster(groups: dict, job: ReconstructJob):
    cpus = {name: float(_limits(group)["cpu"]) * group["maxReplicas"] for name, group in groups.items()}
    wanted = sum(_most(pool) * (pool.cpus or 0) for _, pool in job.pools if not pool.gpus)
    assert wanted <= 1.1 * cpus["cropping"]


def test_the_ray_job_runs_the_job_file_on_the_cluster_by_its_name():
    spec = load("rayjob")["spec"]
    assert spec["clusterSelector"] == {"ray.io/cluster": load("raycluster")["metadata"]["name"]}
    head = load("raycluster")["spec"]["headGroupSpec"]["template"]["spec"]
    (mounted,) = [volume["configMap"]["name"] for volume in head["volumes"] if "configMap" in volume]
    assert mounted == load("job-file")["metadata"]["name"]
    assert spec["entrypoint"].split()[-1] == "/etc/facerecon/job.yaml"


def test_nightly_runs_do_not_overlap_and_name_the_cluster():
    spec = load("cronjob")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid" and len(spec["schedule"].split()) == 5
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    command = container["command"][-1]
    assert (
        f"http://{load('raycluster')['metadata']['name']}-head-svc:8265" in command
        and "--id nightly-$(date" in command
    )


@pytest.mark.parametrize("name", [name for name in ALL if list(found(ALL[name], "containers"))])
def test_no_container_runs_as_root_or_with_an_image_that_may_change(name: str):
    for pod in found(ALL[name], "containers"):
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 1000
        for container in pod["containers"]:
            powerless = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            assert container["securityContext"] == powerless
            assert container["image"].rpartition(":")[2] not in ("", "latest")
            assert container["resources"]["limits"]["memory"]
            assert all("valueFrom" in entry for entry in container.get("env", []) if _is_secret(entry["name"]))


def _is_secret(name: str) -> bool:
    return "SECRET" in name or "TOKEN" in name


def _limits(group: dict[str, Any]) -> dict[str, str]:
    return group["template"]["spec"]["containers"][0]["resources"]["limits"]


def _most(pool: PoolSettings) -> int:
    return pool.workers if isinstance(pool.workers, int) else pool.workers.max if pool.workers else 1


def _amounts(pool: PoolSettings) -> dict[str, float]:
    return {"CPU": pool.cpus or 0, "GPU": pool.gpus or 0}
