"""KubeRay's kinds as its custom resource definitions of 1.7 have them (API group ray.io/v1), without their pods.

Every object is closed: Kubernetes drops fields that it does not know, or refuses them. Pods are Kubernetes' own and
checked by its schema. Fields that 1.6 does not have are named in NEW_IN_1_7. They were compared one by one
with the definition that holds all three kinds, ray.io_raycronjobs.yaml of KubeRay's chart at commit 034971d.
"""

from typing import Any

NEW_IN_1_7 = {"timeZone", "priority", "ingressOptions", "networkPolicy", "tlsOptions", "historyServerOptions"}

TEXT, WHOLE, NUMBER, FLAG = ({"type": name} for name in ("string", "integer", "number", "boolean"))
TEXTS = {"type": "object", "additionalProperties": TEXT}
ELSEWHERE = {"type": "object"}  # of Kubernetes
LIST = {"type": "array", "items": ELSEWHERE}


def one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


def closed(required: tuple[str, ...] = (), **fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def kind(spec: dict[str, Any]) -> dict[str, Any]:
    return closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": "ray.io/v1"},
        kind=TEXT,
        metadata=ELSEWHERE,
        spec=spec,
    )


def at_least(least: int) -> dict[str, Any]:
    return {**WHOLE, "minimum": least}


MANAGED_BY = one_of("ray.io/kuberay-operator", "kueue.x-k8s.io/multikueue")

AUTOSCALER = closed(
    resources=ELSEWHERE,
    image=TEXT,
    imagePullPolicy=TEXT,
    securityContext=ELSEWHERE,
    idleTimeoutSeconds=WHOLE,
    upscalingMode=one_of("Default", "Aggressive", "Conservative"),
    version=one_of("v1", "v2"),
    env=LIST,
    envFrom=LIST,
    volumeMounts=LIST,
    command={"type": "array", "items": TEXT},
    args={"type": "array", "items": TEXT},
)

HEAD = closed(
    ("template",),
    template=ELSEWHERE,
    headService=ELSEWHERE,
    enableIngress=FLAG,
    ingressOptions=closed(
        host=TEXT, path=TEXT, pathType=one_of("Exact", "Prefix", "ImplementationSpecific"), tls=LIST
    ),
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    serviceType=TEXT,
)

WORKERS = closed(
    ("groupName", "minReplicas", "maxReplicas", "template"),
    suspend=FLAG,
    groupName=TEXT,
    replicas=WHOLE,
    minReplicas=WHOLE,
    maxReplicas=WHOLE,
    idleTimeoutSeconds=WHOLE,
    priority=WHOLE,
    resources=TEXTS,
    labels=TEXTS,
    rayStartParams=TEXTS,
    template=ELSEWHERE,
    scaleStrategy=closed(workersToDelete={"type": "array", "items": TEXT}),
    numOfHosts=WHOLE,
)

FAULT_TOLERANCE = closed(
    backend=one_of("redis", "rocksdb"),
    externalStorageNamespace=TEXT,
    redisAddress=TEXT,
    redisUsername=ELSEWHERE,
    redisPassword=ELSEWHERE,
    storage=closed(
        accessModes={"type": "array", "items": TEXT},
        claimName=TEXT,
        deletionPolicy=one_of("DeleteWithCluster", "Retain"),
        size={"type": ["integer", "string"]},
        storageClassName=TEXT,
        subPath=TEXT,
    ),
    activePassiveHeadOptions=closed(
        enabled=FLAG,
        leaseDurationSeconds=at_least(1),
        renewDeadlineSeconds=at_least(1),
        retryPeriodSeconds=at_least(1),
    ),
)

CLUSTER = closed(
    ("headGroupSpec",),
    upgradeStrategy=closed(type=one_of("Recreate", "None")),
    authOptions=closed(enableK8sTokenAuth=FLAG, secretName=TEXT, mode=one_of("disabled", "token")),
    suspend=FLAG,
    managedBy=MANAGED_BY,
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=TEXTS,
    enableInTreeAutoscaling=FLAG,
    gcsFaultToleranceOptions=FAULT_TOLERANCE,
    historyServerOptions=closed(
        collectorOptions=closed(env=LIST, image=TEXT, imagePullPolicy=TEXT, resources=ELSEWHERE)
    ),
    networkPolicy=closed(
        mode=one_of("DenyAll", "DenyAllIngress", "DenyAllEgress"),
        head=ELSEWHERE,
        worker=ELSEWHERE,
        workerGroups={"type": "array", "items": {**ELSEWHERE, "required": ["groupName"]}},
    ),
    tlsOptions=closed(enabled=FLAG),
    headGroupSpec=HEAD,
    rayVersion=TEXT,
    workerGroupSpecs={"type": "array", "items": WORKERS},
)

DELETED = one_of("DeleteCluster", "DeleteWorkers", "DeleteSelf", "DeleteNone")
CONDITION = closed(
    jobStatus=one_of("SUCCEEDED", "FAILED"), jobDeploymentStatus=one_of("Failed"), ttlSeconds=at_least(0)
)
RULE = closed(
    ("condition", "policy"),
    policy=DELETED,
    condition={**CONDITION, "oneOf": [{"required": ["jobStatus"]}, {"required": ["jobDeploymentStatus"]}]},
)
DELETION = {
    **closed(
        deletionRules={"type": "array", "minItems": 1, "items": RULE},
        onSuccess=closed(policy=DELETED),
        onFailure=closed(policy=DELETED),
    ),
    "oneOf": [{"required": ["deletionRules"]}, {"required": ["onSuccess", "onFailure"]}],
}

JOB = closed(
    activeDeadlineSeconds=WHOLE,
    backoffLimit=WHOLE,
    rayClusterSpec=CLUSTER,
    submitterPodTemplate=ELSEWHERE,
    metadata=TEXTS,
    clusterSelector=TEXTS,
    submitterConfig=closed(backoffLimit=WHOLE),
    managedBy=MANAGED_BY,
    deletionStrategy=DELETION,
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    jobId=TEXT,
    submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
    entrypointResources=TEXT,
    entrypointNumCpus=NUMBER,
    entrypointNumGpus=NUMBER,
    ttlSecondsAfterFinished=WHOLE,
    preRunningDeadlineSeconds=at_least(1),
    shutdownAfterJobFinishes=FLAG,
    suspend=FLAG,
)

SCHEMAS = {
    "RayCluster": kind(CLUSTER),
    "RayJob": kind(JOB),
    "RayCronJob": kind(
        closed(
            ("schedule", "jobTemplate"),
            schedule=TEXT,
            timeZone={**TEXT, "minLength": 1},
            suspend=FLAG,
            jobTemplate=JOB,
        )
    ),
}


def refusals_of_a_cluster(spec: dict[str, Any]) -> list[str]:
    """What the operator refuses in a cluster although its schema allows it."""
    found = []
    scales, options = spec.get("enableInTreeAutoscaling"), spec.get("autoscalerOptions", {})
    groups = {
        "head": spec["headGroupSpec"],
        **{group["groupName"]: group for group in spec.get("workerGroupSpecs", [])},
    }
    for name, group in groups.items():
        started, pod = group.get("rayStartParams", {}), group["template"]["spec"]
        if "labels" in started:
            found.append(f"{name}: labels in rayStartParams")
        if group.get("resources") and started.keys() & {"num-cpus", "num-gpus", "memory", "resources"}:
            found.append(f"{name}: resources in two places")
        if scales and pod.get("restartPolicy", "Never") != "Never":
            found.append(f"{name}: restartPolicy with the autoscaler")
        if group.get("minReplicas", 0) > group.get("maxReplicas", 0):
            found.append(f"{name}: minReplicas above maxReplicas")
        environment = {entry["name"] for entry in pod["containers"][0].get("env", [])}
        if "RAY_enable_autoscaler_v2" in environment and ("version" in options or not scales):
            found.append(f"{name}: the autoscaler's version in two places")
    if spec.get("authOptions", {}).get("mode") == "token":
        version = tuple(map(int, spec.get("rayVersion", "0").split(".")))
        if version < (2, 52):
            found.append("authOptions: needs rayVersion 2.52")
    return found


def refusals_of_a_job(spec: dict[str, Any]) -> list[str]:
    """What the operator refuses in a job although its schema allows it."""
    found = []
    cluster, selects = spec.get("rayClusterSpec"), "clusterSelector" in spec
    if (cluster is None) != selects:
        found.append("a cluster of its own, or one that is selected")
    if selects and (spec.get("backoffLimit") or spec.get("shutdownAfterJobFinishes")):
        found.append("backoffLimit or shutdownAfterJobFinishes for a cluster that is selected")
    if spec.get("ttlSecondsAfterFinished") and not spec.get("shutdownAfterJobFinishes"):
        found.append("ttlSecondsAfterFinished without shutdownAfterJobFinishes")
    if spec.get("activeDeadlineSeconds", 1) < 1:
        found.append("activeDeadlineSeconds")
    if spec.get("submissionMode") == "SidecarMode":
        if selects or spec.keys() & {"submitterPodTemplate", "submitterConfig"}:
            found.append("SidecarMode with a selected cluster or a submitter of its own")
        elif cluster and cluster["headGroupSpec"]["template"]["spec"].get("restartPolicy", "Never") != "Never":
            found.append("SidecarMode with a head that restarts")
    return found + (refusals_of_a_cluster(cluster) if cluster else [])
