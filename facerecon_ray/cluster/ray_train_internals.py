"""What this package uses of Ray Train that is not public; apart from the rest, for it takes a second to load."""

from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.callback import ControllerCallback
from ray.train.v2._internal.execution.controller.state import RunningState

__all__ = ["ControllerCallback", "RunningState", "WorkerGroupStartupTimeoutError"]
