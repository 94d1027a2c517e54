"""Tasks that a driver hands to Ray and waits for: where none of them can run, it says so or ends."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import ray

from facerecon_ray.cluster.host_check import sick_hosts
from facerecon_ray.cluster.keepers import beside_the_driver
from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.cluster.placement import Demand, describe_amounts, unplaced
from facerecon_ray.cluster.worker_errors import WorkerError
from facerecon_ray.errors import FaceReconError
from facerecon_ray.waiting import say

QUIET_SECONDS = 30.0
"""So long none of the tasks has run."""

_LOOK_SECONDS = 5.0
_SAY_SECONDS = 60.0
_ANSWER_SECONDS = 10.0


class Running:
    """The tasks that run, and where; an actor."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}

    def begin(self, task: str, node: str) -> None:
        """A task has begun on this node, for the first time or again."""
        self._nodes[task] = node

    def end(self, task: str) -> None:
        """It has ended."""
        self._nodes.pop(task, None)

    def on(self, nodes: Collection[str]) -> bool:
        """Whether one runs on any of these nodes."""
        return any(node in nodes for node in self._nodes.values())


class TaskWatch:
    """Hands out tasks of equal size and waits for them.

    Ray starts a task that was lost with its node elsewhere. Where no other node is as large, it waits for one without
    a word.

    Parameters
    ----------
    task : what one of them needs, by the name of what they do
    advice : what to do when they cannot run
    """

    def __init__(self, task: Demand, advice: str) -> None:
        self._task, self._advice = task, advice
        self._cluster = live_cluster()
        self._running = beside_the_driver(Running).remote()
        self._heard = time.monotonic()
        self._said = self._heard - _SAY_SECONDS
        self._were_sick = False

    def remote(self, function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """What hands a call of the function to Ray as a task, and returns its references.

        Parameters
        ----------
        function : importable in a worker
        options : of Ray, beside those that follow from what a task needs
        """
        amounts = dict(self._task.amounts)
        cpus, gpus = amounts.pop("CPU"), amounts.pop("GPU")
        task = ray.remote(_noted).options(
            name=function.__name__,
            num_cpus=cpus,
            num_gpus=gpus or None,
            resources=amounts or None,
            label_selector=dict(self._task.labels) or None,
            **options,
        )
        return partial(task.remote, self._running, function)

    def first_done(self, references: Sequence[Any]) -> Any:
        """One of the tasks that have ended, as soon as there is one.

        Raises
        ------
        FaceReconError
            when none of them can run: a lost node was the only one with room, or a host starts no process
        """
        self._heard = time.monotonic()
        while not (ready := ray.wait(references, num_returns=1, timeout=_LOOK_SECONDS)[0]):
            self._look()
        return ready[0]

    def _look(self) -> None:
        if self._one_runs():
            self._heard = time.monotonic()
        if time.monotonic() - self._heard < QUIET_SECONDS:
            return
        missing, room = f"no task of {self._task.name} runs", f"one with {describe_amounts(self._task.amounts)}"
        nodes = live_cluster()
        if nodes.has_less_than(self._cluster) and unplaced([self._task], nodes):
            left = nodes.describe() or "none"
            raise FaceReconError(f"{missing}: no node has room for {room}; what is left is {left}; {self._advice}")
        if time.monotonic() - self._said < _SAY_SECONDS:
            return
        # A host that is only slow may have answered nothing, but begins its work before the next line is due.
        hosts = [] if self._one_runs() else sick_hosts()
        if hosts and self._were_sick and not self._one_runs():
            raise FaceReconError(f"{missing}: {'; '.join(hosts)}; {self._advice}")
        self._were_sick, self._said = bool(hosts), time.monotonic()
        what = f"waiting for the cluster to have room for {room}, and to start it"
        say(f"{missing}: {'; '.join(hosts) or what}")

    def _one_runs(self) -> bool:
        nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        with suppress(ray.exceptions.RayError):
            runs: bool = ray.get(self._running.on.remote(nodes), timeout=_ANSWER_SECONDS)
            return runs
        return False


def _noted(running: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """A call, noted while it runs; what it raises for the user is carried to the driver as it is."""
    context = ray.get_runtime_context()
    task = context.get_task_id()
    # Awaited: a watch that hears of the task only later would say that none runs.
    ray.get(running.begin.remote(task, context.get_node_id()))
    try:
        return function(*arguments)
    except FaceReconError as error:
        raise WorkerError(error) from None
    finally:
        running.end.remote(task)
