"""Whether each host of a cluster can start a process for Ray, and has room on its disk."""

import os
import shutil
from errno import ENOSPC
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from facerecon_ray.cluster.ray_internals import session_folder

ANSWER_SECONDS = 60.0
FULL = 0.95
"""Ray stores nothing more on a disk that is filled to this share."""

_LONGEST_REASON = 200


def sick_hosts(seconds: float = ANSWER_SECONDS) -> list[str]:
    """What is wrong with hosts on which Ray's workers cannot run, each in words; the healthy ones are not named.

    A head that has no CPUs to give is not asked: no worker is to run there, and what it has it needs for the cluster.

    Parameters
    ----------
    seconds : to wait for the answers
    """
    asked = {node: _ask(node) for node in _working_nodes()}
    answered, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=seconds)
    # A node that is lost meanwhile is not sick.
    found = [
        _ailment(asked[node], asked[node] in answered, host)
        for node, host in _working_nodes().items()
        if node in asked
    ]
    return [ailment for ailment in found if ailment]


def _working_nodes() -> dict[str, str]:
    return {
        node["NodeID"]: node["NodeManagerHostname"]
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0.0) > 0.0
    }


def _ask(node: str) -> Any:
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(_disk).remote()


def _disk() -> tuple[str, float]:
    folder = session_folder()
    usage = shutil.disk_usage(folder)
    return folder, 1.0 - usage.free / usage.total


def _ailment(reference: Any, has_answered: bool, host: str) -> str:
    """What is wrong with a host that was asked, "" when nothing is."""
    if not has_answered:
        ray.cancel(reference)
        return f"host {host} starts no process; look whether its disk or its memory is full"
    try:
        folder, share = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = str(error)
        if os.strerror(ENOSPC) in reason:
            # Ray keeps its files under the same name on all nodes of a cluster.
            return f"host {host} has a full disk (that of {session_folder()}); make room there"
        return f"host {host} starts no process: {' '.join(reason.split())[:_LONGEST_REASON]}"
    return f"host {host} has a full disk ({share:.0%} of that of {folder}); make room there" if share > FULL else ""
