"""Room for a training on a cluster that may lose nodes: Ray Train tries for ever to find it, and without a word."""

import time
from collections.abc import Sequence
from typing import Any

import ray

from facerecon_ray.cluster.nodes import Cluster, live_cluster
from facerecon_ray.cluster.placement import Demand, check_room
from facerecon_ray.cluster.ray_train_internals import ControllerCallback, RunningState, WorkerGroupStartupTimeoutError
from facerecon_ray.errors import SettingsError, TrainingError

PATIENCE_SECONDS = 600.0
"""So long a lost node may take to come back."""

_LOOK_SECONDS = 2.0


class Room:
    """What runs at the same time, on the cluster for which it was sized.

    Parameters
    ----------
    demands : of the workers and of what feeds them, named by their settings
    cluster : before it lost any node
    """

    def __init__(self, demands: Sequence[Demand], cluster: Cluster) -> None:
        self._demands, self._cluster = demands, cluster

    def missing(self) -> str:
        """What finds no room since a node was lost, "" while all does."""
        nodes = live_cluster()
        try:
            if nodes.has_less_than(self._cluster):
                check_room(self._demands, nodes, "a node was lost")
        except SettingsError as error:
            return str(error)
        return ""


class RoomWatch(ControllerCallback):
    """Asked by Ray Train's controller, in a process of its own, before each attempt to start the workers.

    Parameters
    ----------
    board : handle; what ends the training is written there
    room : that the workers need
    patience : seconds to wait for a node in place of a lost one
    """

    def __init__(self, board: Any, room: Room, patience: float) -> None:
        self._board, self._room, self._patience = board, room, patience
        self._since: float | None = None
        self._has_tried = False

    def on_controller_start_worker_group(self, *, num_workers: int, **_: Any) -> None:
        """Let the workers start only where there is room for all that feeds them, too.

        Raises
        ------
        TrainingError
            when they have waited too long for a node in place of a lost one
        """
        now = time.monotonic()
        self._since = self._since or now
        if missing := self._room.missing():
            if now - self._since < self._patience:
                time.sleep(_LOOK_SECONDS)
                # Ray Train tries again after this one.
                raise WorkerGroupStartupTimeoutError(num_workers)
            error = TrainingError(f"{missing}; the last checkpoint is intact, and the same command goes on from it")
            ray.get(self._board.fail.remote(error))
            raise error
        if self._has_tried:
            self._board.say.remote("The workers do not run: waiting for the cluster to have room for them")
        self._has_tried = True

    def after_controller_state_update(self, previous_state: Any, current_state: Any) -> None:
        """Note that the workers run."""
        if isinstance(current_state, RunningState):
            self._since, self._has_tried = None, False
