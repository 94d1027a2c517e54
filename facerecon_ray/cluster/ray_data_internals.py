"""What this package uses of Ray Data that is not public; apart from the rest, for it takes a second to load."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import ray
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import DefaultAutoscalingCoordinator
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data._internal.execution.operators import actor_pool_map_operator
from ray.data._internal.stats import _StatsManager

from facerecon_ray.cluster.ray_internals import replaced

__all__ = ["ExecutionCallback"]


class _NoTracker:
    """In place of the actor that notes on which node each worker runs."""

    class update_actor_location:  # noqa: N801 - the name of the actor's method
        @staticmethod
        def remote(actor: str, node: str) -> None:
            """Of one node there is nothing to note."""


@contextmanager
def without_own_actors() -> Iterator[None]:
    """Ray Data starts no actors of its own, of which each is a process: fit for one node that nobody watches.

    They collect statistics for a dashboard, share a cluster between datasets, and know which worker is on which node.
    """

    def ignore(*_: Any, **__: Any) -> None:
        pass

    with ExitStack() as stack:
        for owner, parts in (
            (
                _StatsManager,
                {
                    "register_dataset_to_stats_actor": staticmethod(ignore),
                    "update_execution_metrics": staticmethod(ignore),
                    "update_iteration_metrics": staticmethod(ignore),
                    "gen_dataset_id_from_stats_actor": staticmethod(lambda: uuid4().hex),
                },
            ),
            (
                DefaultAutoscalingCoordinator,
                {
                    "request_resources": ignore,
                    "cancel_request": ignore,
                    "get_reserved_resources": lambda self: {"": ray.cluster_resources()},
                },
            ),
            (
                actor_pool_map_operator,
                {"get_or_create_actor_location_tracker": _NoTracker, "get_actor_locations": lambda actors: {}},
            ),
        ):
            stack.enter_context(replaced(owner, **parts))
        yield
