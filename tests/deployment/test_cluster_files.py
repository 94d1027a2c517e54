"""Files for clusters that this machine has not: checked against schemas and against the rest of the project."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.autoscaler._private.util import prepare_config, validate_config

from facerecon_ray.config.reconstruct import ReconstructJob
from facerecon_ray.config.settings import COMMAND, PoolSettings

ROOT = Path(__file__).parents[2]
KUBERAY = ROOT / "cluster" / "kuberay"

# Fields of KubeRay's types RayClusterSpec, HeadGroupSpec, WorkerGroupSpec and RayJobSpec (ray-operator/apis/ray/v1).
CLUSTER_FIELDS = {"headGroupSpec", "workerGroupSpecs", "rayVersion", "enableInTreeAutoscaling", "autoscalerOptions"}
CLUSTER_FIELDS |= {"headServiceAnnotations", "suspend", "gcsFaultToleranceOptions", "managedBy", "authOptions"}
HEAD_FIELDS = {"serviceType", "headService", "enableIngress", "rayStartParams", "template", "resources", "labels"}
GROUP_REQUIRED = {"groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"}
GROUP_FIELDS = GROUP_REQUIRED | {"replicas", "numOfHosts", "idleTimeoutSeconds", "scaleStrategy", "suspend", "labels"}
AUTOSCALER_FIELDS = {"resources", "image", "env", "envFrom", "volumeMounts", "securityContext", "imagePullPolicy"}
AUTOSCALER_FIELDS |= {"idleTimeoutSeconds", "upscalingMode", "version"}
JOB_FIELDS = {"entrypoint", "clusterSelector", "rayClusterSpec", "submissionMode", "submitterPodTemplate", "jobId"}
JOB_FIELDS |= {"shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "runtimeEnvYAML", "metadata", "suspend"}
JOB_FIELDS |= {"activeDeadlineSeconds", "backoffLimit", "submitterConfig", "entrypointNumCpus"}
SPECS = {"raycluster": "RayCluster", "rayjob": "RayJob", "cronjob": "CronJob", "job-file": "ConfigMap"}


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


def containers() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(file, pod, container) of all pods."""
    found = []
    for name in ("raycluster", "rayjob", "cronjob"):
        stack: list[Any] = [load(name)]
        while stack:
            node = stack.pop()
            if isinstance(node, dict) and "containers" in node:
                found += [(name, node, container) for container in node["containers"]]
            stack += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found


@pytest.mark.parametrize(("name", "kind"), SPECS.items())
def test_kubernetes_files_are_of_their_kind_and_named(name: str, kind: str):
    document = load(name)
    assert document["kind"] == kind and document["metadata"].keys() & {"name", "generateName"}
    assert document["apiVersion"] == {"RayCluster": "ray.io/v1", "RayJob": "ray.io/v1", "CronJob": "batch/v1"}.get(
        kind, "v1"
    )


def test_the_ray_cluster_has_what_kuberay_requires_and_nothing_it_does_not_know(cluster: dict[str, Any], groups: dict):
    assert cluster.keys() <= CLUSTER_FIELDS and cluster["autoscalerOptions"].keys() <= AUTOSCALER_FIELDS
    head = cluster["headGroupSpec"]
    assert {"rayStartParams", "template"} <= head.keys() <= HEAD_FIELDS
    for group in groups.values():
        assert GROUP_REQUIRED <= group.keys() <= GROUP_FIELDS
    for parameters in (head["rayStartParams"], *(group["rayStartParams"] for group in groups.values())):
        assert all(isinstance(value, str) for value in parameters.values()), "KubeRay wants text"


def test_rays_autoscaler_reads_the_node_types_from_it(job: ReconstructJob):
    resource = load("raycluster")
    resource["metadata"]["namespace"] = "default"
    config = _derive_autoscaling_config_from_ray_cr(resource)
    validate_config(config)
    kinds = {name: kind["resources"] for name, kind in config["available_node_types"].items()}
    assert kinds["headgroup"]["CPU"] == 0 and kinds["cropping"]["CPU"] == 16 and "GPU" not in kinds["cropping"]
    for name, pool in (("rotation", job.pools.rotate), ("reconstruction", job.pools.reconstruct)):
        assert kinds[name]["GPU"] == 1 and pool.resources.items() <= kinds[name].items()


def test_ray_is_the_version_that_is_installed(cluster: dict[str, Any]):
    assert cluster["rayVersion"] == version("ray")


def test_workers_scale_to_zero_and_the_head_does_no_work(cluster: dict[str, Any], groups: dict):
    assert cluster["enableInTreeAutoscaling"] is True
    assert all(group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"] for group in groups.values())
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_rotation_and_reconstruction_have_gpus_of_their_own_and_cropping_has_none(groups: dict, job: ReconstructJob):
    gpus = {name: "nvidia.com/gpu" in _limits(group) for name, group in groups.items()}
    assert gpus == {"cropping": False, "rotation": True, "reconstruction": True}
    for name, pool in (("rotation", job.pools.rotate), ("reconstruction", job.pools.reconstruct)):
        offered = json.loads(groups[name]["rayStartParams"]["resources"].strip("'"))
        assert pool.resources == offered and pool.gpus == 1
        assert _most(pool) <= groups[name]["maxReplicas"]
        assert (pool.cpus or 0) <= float(_limits(groups[name])["cpu"])
    assert job.pools.crop.gpus == 0


def test_the_largest_pools_fit_the_largest_cluster(groups: dict, job: ReconstructJob):
    cpus = {name: float(_limits(group)["cpu"]) * group["maxReplicas"] for name, group in groups.items()}
    wanted = sum(_most(pool) * (pool.cpus or 0) for pool in (job.pools.read, job.pools.crop, job.pools.export))
    assert wanted <= 1.1 * cpus["cropping"]


def test_the_ray_job_runs_the_job_file_on_the_cluster_by_its_name():
    spec = load("rayjob")["spec"]
    assert spec.keys() <= JOB_FIELDS
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


@pytest.mark.parametrize(("name", "pod", "container"), containers())
def test_no_container_runs_as_root_or_with_an_image_that_may_change(name: str, pod: dict, container: dict):
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 1000
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert container["image"].rpartition(":")[2] not in ("", "latest") and container["resources"]["limits"]["memory"]
    assert not any("SECRET" in entry["name"] for entry in container.get("env", []))


def test_the_aws_file_meets_rays_schema():
    config = yaml.safe_load((ROOT / "cluster" / "aws.yaml").read_text())
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))
    kinds = config["available_node_types"]
    assert config["head_node_type"] in kinds
    assert config["max_workers"] == sum(kind["max_workers"] for kind in kinds.values())
    assert all(kind["min_workers"] == 0 for kind in kinds.values())


def test_the_aws_nodes_offer_what_the_job_asks_for(job: ReconstructJob):
    kinds = yaml.safe_load((ROOT / "cluster" / "aws.yaml").read_text())["available_node_types"]
    for name, pool in (("rotation", job.pools.rotate), ("reconstruction", job.pools.reconstruct)):
        assert all(kinds[name]["resources"][resource] >= amount for resource, amount in pool.resources.items())
        assert kinds[name]["docker"]["worker_image"].endswith("-cuda")


def _limits(group: dict[str, Any]) -> dict[str, str]:
    return group["template"]["spec"]["containers"][0]["resources"]["limits"]


def _most(pool: PoolSettings) -> int:
    return pool.workers if isinstance(pool.workers, int) else pool.workers.max if pool.workers else 1
