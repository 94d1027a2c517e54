"""What a cluster has: nodes with CPUs, GPUs, custom resources and labels, as a user or Ray describes them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from facerecon_ray.errors import SettingsError

_NODES = re.compile(r"(?:(?P<count>\d{1,6})x)?(?P<cpus>[\d.]+)cpu(?P<others>(?:\+[^+]+)*)")
_GPUS = re.compile(r"([\d.]+)gpu(?::([A-Za-z][\w-]*))?")
_RESOURCE = re.compile(r"([A-Za-z_][\w-]*):([\d.]+)")
_TYPE = "accelerator_type:"
"""What Ray puts before the type of a node's GPUs, as a resource of the node."""


@dataclass(frozen=True)
class Node:
    """Some equal nodes; amounts are those of one."""

    cpus: float
    gpus: float = 0.0
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    count: int = 1

    def amount(self, name: str) -> float:
        """How much one node has of CPU, GPU or a custom resource."""
        return {"CPU": self.cpus, "GPU": self.gpus}.get(name, self.resources.get(name, 0.0))

    @property
    def gpu_type(self) -> str | None:
        """Of its GPUs, as Ray names it: H200, A100, T4; None where it has none or it is not known."""
        types = [name.removeprefix(_TYPE) for name in self.resources if name.startswith(_TYPE)]
        return types[0] if types and self.gpus else None


@dataclass(frozen=True)
class Cluster:
    """Nodes of a cluster."""

    nodes: tuple[Node, ...]

    def total(self, name: str) -> float:
        """How much all nodes together have of CPU, GPU or a custom resource."""
        return sum(node.count * node.amount(name) for node in self.nodes)

    @property
    def gpu_type(self) -> str | None:
        """Of all GPUs; None where there are none, or several types, or one is not known."""
        types = {node.gpu_type for node in self.nodes if node.gpus}
        return types.pop() if len(types) == 1 else None

    def has_less_than(self, other: "Cluster") -> bool:
        """Whether another one has more of anything, as before a node was lost."""
        names = {"CPU", "GPU", *(name for node in other.nodes for name in node.resources)}
        return any(self.total(name) < other.total(name) for name in names)

    def describe(self) -> str:
        """The nodes in one line."""
        return ", ".join(_describe(node) for node in self.nodes)


def parse_nodes(descriptions: Iterable[str]) -> Cluster:
    """Cluster from descriptions such as "4x16cpu", "2x8cpu+1gpu:H200" or "8cpu+4gpu+rotation_gpu:4".

    Raises
    ------
    SettingsError
        when a description cannot be understood
    """
    return Cluster(tuple(map(_parse, descriptions)))


def live_cluster() -> Cluster:
    """The nodes that run in the cluster that this process is connected to; Ray does not tell how far it may grow.

    Ray names them in any order; here those with the most GPUs come first, then those with the most CPUs.
    """
    import ray

    alive = (_node(node["Resources"], node.get("Labels", {})) for node in ray.nodes() if node["Alive"])
    return Cluster(tuple(sorted(alive, key=lambda node: (-node.gpus, -node.cpus))))


def this_machine() -> Cluster:
    """What Ray would find if it were started here."""
    from facerecon_ray.cluster.ray_internals import cpus_and_gpus_here

    return Cluster((Node(*cpus_and_gpus_here()),))


def _parse(text: str) -> Node:
    match = _NODES.fullmatch(text.replace(" ", ""))
    if match is None:
        raise _unreadable(text)
    gpus: float = 0.0
    resources: dict[str, float] = {}
    for part in match["others"].split("+")[1:]:
        if found := _GPUS.fullmatch(part):
            gpus = float(found[1])
            resources |= {f"{_TYPE}{found[2]}": 1.0} if found[2] else {}
        elif found := _RESOURCE.fullmatch(part):
            resources[found[1]] = float(found[2])
        else:
            raise _unreadable(text)
    return Node(float(match["cpus"]), gpus, resources, count=int(match["count"] or 1))


def _unreadable(text: str) -> SettingsError:
    return SettingsError(
        f"nodes {text!r}: write COUNTxCPUScpu+GPUSgpu, for example 4x16cpu, 2x8cpu+1gpu:H200 or 8cpu+mark:1"
    )


def _node(resources: Mapping[str, float], labels: Mapping[str, str]) -> Node:
    own = {
        name: amount
        for name, amount in resources.items()
        if name not in ("CPU", "GPU", "memory", "object_store_memory") and not name.startswith("node:")
    }
    return Node(resources.get("CPU", 0.0), resources.get("GPU", 0.0), own, dict(labels))


def _describe(node: Node) -> str:
    parts = [f"{node.cpus:g} CPUs"]
    kind = f" {node.gpu_type}" if node.gpu_type else ""
    parts += [f"{node.gpus:g} GPUs{kind}"] if node.gpus else []
    parts += [f"{name} {amount:g}" for name, amount in node.resources.items() if not name.startswith(_TYPE)]
    return f"{node.count} x ({', '.join(parts)})"
