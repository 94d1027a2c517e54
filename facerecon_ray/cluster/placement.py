"""Whether workers find room: nodes have limits of their own, and a fraction of a GPU must lie on one GPU."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor

from facerecon_ray.cluster.nodes import Cluster, Node
from facerecon_ray.errors import SettingsError

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Demand:
    """Equal workers that want room.

    amounts  what each reserves, by Ray's names: CPU, GPU, custom resources
    labels   of the nodes that may run them
    """

    name: str
    amounts: Mapping[str, float]
    labels: Mapping[str, str]
    workers: int


def unplaced(demands: Iterable[Demand], cluster: Cluster) -> dict[str, int]:
    """Workers without room, by the name of their demand; those with the largest wishes are placed first."""
    nodes = [_Room(node) for node in cluster.nodes for _ in range(node.count)]
    missing = {}
    for demand in sorted(demands, key=_size, reverse=True):
        left = demand.workers
        for node in nodes:
            left -= node.take(demand, left)
            if not left:
                break
        if left:
            missing[demand.name] = left
    return missing


def room_for(demand: Demand, cluster: Cluster) -> int:
    """How many of the workers that a demand asks for find room."""
    return demand.workers - unplaced([demand], cluster).get(demand.name, 0)


def check_room(demands: Sequence[Demand], cluster: Cluster, advice: str) -> None:
    """Refuse workers that would wait for ever, because no node of the cluster is as large.

    Parameters
    ----------
    demands : named by their settings; the workers run at the same time
    advice : what to do about it

    Raises
    ------
    SettingsError
        with the setting, what its workers need and what the nodes have
    """
    missing = unplaced(demands, cluster)
    for demand in demands:
        if left := missing.get(demand.name):
            raise SettingsError(
                f"setting {demand.name!r}: no node has room for {left} of {demand.workers} workers with "
                f"{describe_amounts(demand.amounts)} each; nodes are {cluster.describe()}; {advice}"
            )


def hide_gpus() -> None:
    """Keep a worker that has reserved no GPU from others' GPUs: Ray leaves it all of them, and torch would use one.

    Counts for what is loaded afterwards.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def describe_amounts(amounts: Mapping[str, float]) -> str:
    """What a worker reserves, in words."""
    names = {"CPU": "CPUs", "GPU": "GPUs"}
    return ", ".join(f"{amount:g} {names.get(name, name)}" for name, amount in amounts.items() if amount)


def _size(demand: Demand) -> tuple[float, float, float]:
    amounts = demand.amounts
    others = sum(amount for name, amount in amounts.items() if name not in ("CPU", "GPU"))
    return amounts["GPU"], others, amounts["CPU"]


class _Room:
    """What is left of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._taken: dict[str, float] = {}
        self._free_gpus = [1.0] * int(node.gpus)

    def take(self, demand: Demand, wanted: int) -> int:
        """Place at most `wanted` workers and say how many."""
        if any(self._node.labels.get(name) != value for name, value in demand.labels.items()):
            return 0
        count = wanted
        for name, amount in demand.amounts.items():
            if amount:
                left = self._node.amount(name) - self._taken.get(name, 0.0)
                count = min(count, floor(left / amount + _ROUNDING))
        gpus = demand.amounts["GPU"]
        count = self._take_gpus(gpus, count) if gpus and count > 0 else max(count, 0)
        for name, amount in demand.amounts.items():
            self._taken[name] = self._taken.get(name, 0.0) + count * amount
        return count

    def _take_gpus(self, gpus: float, wanted: int) -> int:
        taken = 0
        if gpus >= 1:
            whole = [index for index, free in enumerate(self._free_gpus) if free == 1.0]
            taken = min(wanted, len(whole) // int(gpus))
            for index in whole[: taken * int(gpus)]:
                self._free_gpus[index] = 0.0
            return taken
        for index, free in enumerate(self._free_gpus):
            here = min(wanted - taken, floor(free / gpus + _ROUNDING))
            self._free_gpus[index] -= here * gpus
            taken += here
        return taken
