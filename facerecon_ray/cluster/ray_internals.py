"""What this package uses of Ray that is not public, in one place to look at when Ray's version changes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray._private.node
import ray._private.services
import ray._private.worker
from ray._common.utils import get_system_memory
from ray._private.accelerators import NvidiaGPUAcceleratorManager
from ray._private.state import actors
from ray._private.utils import get_num_cpus, get_shared_memory_bytes
from ray._raylet import (  # type: ignore[attr-defined]
    DASHBOARD_AGENT_LISTEN_PORT_NAME,
    METRICS_AGENT_PORT_NAME,
    METRICS_EXPORT_PORT_NAME,
    RUNTIME_ENV_AGENT_PORT_NAME,
    AuthenticationTokenLoader,
    Config,
    persist_port,
)

__all__ = ["get_shared_memory_bytes", "get_system_memory"]

NO_TOKEN = "InvalidAuthToken"
"""Ray's C++ part writes this on stderr where a cluster refuses the token; the error itself does not say why."""

_DASHBOARD_AGENT = re.compile(r"^(--dashboard_agent_command=).*")
_AGENTS = re.compile(r"^(--(?:dashboard|runtime_env)_agent_command=).*")
_NO_PORT = -1
_UNPLACED = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING")
_STAGE = re.compile(r"\((\w[\w ]*)\)")


def be_silent() -> None:
    """Messages of the raylet come from a thread that prints to stdout and asks no setting."""
    ray._private.worker._worker_logs_enabled = False


def read_environment_anew() -> None:
    """Ray reads whether tokens are sent, and which, when it is imported, perhaps before this package has said so."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def few_processes(runtime_environments: bool) -> Iterator[None]:
    """What `ray.init` starts meanwhile is Ray's two servers, without the Python processes that it puts beside them.

    Those scale a cluster, show it, read its logs and export its metrics, and take longer to start than the servers.

    Parameters
    ----------
    runtime_environments : whether workers may ask for environments of their own, which is a process too
    """

    unused = [METRICS_AGENT_PORT_NAME, METRICS_EXPORT_PORT_NAME, DASHBOARD_AGENT_LISTEN_PORT_NAME]
    agents = _DASHBOARD_AGENT
    if not runtime_environments:
        unused.append(RUNTIME_ENV_AGENT_PORT_NAME)
        agents = _AGENTS

    class Node(ray._private.node.Node):
        def start_monitor(self) -> None:
            pass

        def start_log_monitor(self) -> None:
            pass

        def start_api_server(self, **_: Any) -> None:
            self._webui_url = ""
            # The raylet waits until its agents have said at which ports they listen.
            for name in unused:
                persist_port(self.get_session_dir_path(), self.node_id, name, _NO_PORT)

    start = ray._private.services.start_ray_process

    def start_process(command: list[str], *arguments: Any, **options: Any) -> Any:
        """The raylet ends when an agent ends, so there is one that only waits for the raylet's end."""
        return start([agents.sub(r"\1cat", part) for part in command], *arguments, **options)

    with replaced(ray._private.node, Node=Node), replaced(ray._private.services, start_ray_process=start_process):
        yield


@contextmanager
def replaced(owner: Any, **parts: Any) -> Iterator[None]:
    """Other attributes of a module or a class for the duration."""
    kept = {name: vars(owner)[name] for name in parts}
    for name, part in parts.items():
        setattr(owner, name, part)
    try:
        yield
    finally:
        for name, part in kept.items():
            setattr(owner, name, part)


def cpus_and_gpus_here() -> tuple[int, int]:
    """What Ray would find if it were started on this machine."""
    return get_num_cpus(), NvidiaGPUAcceleratorManager.get_current_node_num_accelerators()


def is_alive(actor: str) -> bool:
    """Whether an actor runs, by its id: one that has died by itself, and is being started again, does not."""
    return bool(actors(actor).get("State") == "ALIVE")


def waiting_actors() -> dict[str, str]:
    """Actors of this job that do not run yet, or not again: the names of their classes by their ids."""
    job = ray.get_runtime_context().get_job_id()
    return {
        actor: about["ActorClassName"]
        for actor, about in actors().items()
        if about["JobID"] == job and about["State"] in _UNPLACED
    }


def session_folder() -> str:
    """Where the Ray of this node keeps its files."""
    folder: str = ray._private.worker.global_worker.node.get_session_dir_path()
    return folder
