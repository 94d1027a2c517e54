"""What this package uses of Ray that is not public, in one place to look at when Ray's version changes."""

import re

import ray
import ray._private.worker
from ray._common.utils import get_system_memory
from ray._private.accelerators import NvidiaGPUAcceleratorManager
from ray._private.state import actors
from ray._private.utils import get_num_cpus, get_shared_memory_bytes
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]
from ray.data._internal.execution.execution_callback import ExecutionCallback

__all__ = ["ExecutionCallback", "get_shared_memory_bytes", "get_system_memory"]

NO_TOKEN = "InvalidAuthToken"
"""Ray's C++ part writes this on stderr where a cluster refuses the token; the error itself does not say why."""

_UNPLACED = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING")
_STAGE = re.compile(r"\((\w[\w ]*)\)")


def be_silent() -> None:
    """Messages of the raylet come from a thread that prints to stdout and asks no setting."""
    ray._private.worker._worker_logs_enabled = False


def read_environment_anew() -> None:
    """Ray reads whether tokens are sent, and which, when it is imported, perhaps before this package has said so."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


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
